"""The largest eigenvalues from few directions, against dense matrices in float64.

The limits are lowered, so that small networks go the way that large ones go.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference

from nccli.checkpoint import Checkpoint
from nccli.hessian import compressed
from nccli.hessian.analysis import FAINT
from nccli.hessian.layer import open_layer, survey
from nccli.hessian.weight_block import class_start, largest, weight_product

CASES = 300
FOLDS = 6  # so that a failure names a handful of cases


@pytest.fixture(autouse=True)
def small_networks_too(monkeypatch):
    monkeypatch.setattr(compressed, "MANY_CLASSES", 2)
    monkeypatch.setattr(compressed, "WIDTH_RATIO", 2)
    monkeypatch.setattr(compressed, "SKETCHES", 4)


def drawn(seed, *, decay, spread=1.0, gain=0.5):
    """Class means and noise whose spectrum falls by a power law; single precision."""
    rng = np.random.default_rng(seed)
    classes, dim = int(rng.integers(2, 6)), int(rng.integers(40, 90))
    count = int(rng.integers(10 * classes, 200))
    labels = np.arange(count) % classes
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    means = 2 * spread * rng.normal(size=(classes, dim)) / np.sqrt(classes)
    sizes = (1.0 + np.arange(dim)) ** -decay
    features = means[labels] + rng.normal(size=(count, dim)) * sizes @ basis
    weight = gain * (means - means.mean(axis=0) + 0.1 * rng.normal(size=means.shape))
    return features.astype(np.float32), labels, weight.astype(np.float32)


def opened(features, labels, weight, *, with_bias=False):
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    layer = open_layer(point, "train", with_bias=with_bias)
    return survey(replace(layer, dtype=np.dtype(np.float32)))


def spectrum(features, weight, *, with_bias=False):
    features, weight = features.astype(np.float64), weight.astype(np.float64)
    inputs = np.hstack([features, np.ones((len(features), 1))]) if with_bias else features
    block = reference.weight_block(weight, features, np.zeros(len(weight)), inputs)
    return np.linalg.eigvalsh(block)[::-1]


def tried(layer, known, wanted=1):
    start = class_start(layer, known, max(wanted, 4))
    return compressed.trial_vectors(
        layer, known, weight_product, start, wanted=wanted, tolerance=1e-5, floor=5e-7
    )


@pytest.mark.parametrize("fold", range(FOLDS))
def test_every_certificate_holds_the_truth_whichever_way_was_gone(fold):
    for seed in range(fold, CASES, FOLDS):
        rng = np.random.default_rng([seed, 1])
        wanted, with_bias = int(rng.integers(1, 4)), bool(rng.integers(0, 2))
        case = drawn(
            seed,
            decay=float(rng.choice([0.0, 0.5, 1.2, 3.0])),  # 0: few directions do not suffice
            spread=float(rng.choice([0.0, 0.3, 1.0])),  # 0: the class means coincide
            gain=float(10 ** rng.uniform(-1, 0.3)),
        )
        layer, known = opened(*case, with_bias=with_bias)
        if known.doubt < FAINT:
            continue  # `analyze` leaves single precision here
        solved = largest(layer, wanted, known=known)
        truth = spectrum(case[0], case[2], with_bias=with_bias)
        assert solved.converged, seed
        for rank, value in enumerate(solved.values):
            close = solved.errors[rank] + 1e-13 * truth[0]
            assert abs(value - truth[rank]) <= close, (seed, rank)
            assert abs(value - truth[rank]) <= 1e-8 * truth[0], (seed, rank)
        assert np.all(solved.errors <= 2e-5 * truth[0]), seed


def test_a_steep_spectrum_needs_few_directions_and_a_flat_one_is_left_to_full_products(
    monkeypatch,
):
    steep = [tried(*opened(*drawn(seed, decay=3.0))).converged for seed in range(10)]
    assert all(steep)
    monkeypatch.setattr(compressed, "WIDTH_RATIO", 3)
    flat = [tried(*opened(*drawn(seed, decay=0.0))).converged for seed in range(10)]
    assert not all(flat)


def test_trial_vectors_that_miss_the_tolerance_are_not_the_answer(monkeypatch):
    case = drawn(0, decay=0.3)
    layer, known = opened(*case)
    monkeypatch.setattr(compressed, "GAIN", 1e9)  # hopeful of the very first directions
    assert tried(layer, known).converged
    solved = largest(layer, 1, known=known)
    assert solved.errors[0] <= 2e-5 * solved.values[0]
    assert solved.passes > 5  # the trial, its certificate, and full products after it
    assert solved.values[0] == pytest.approx(spectrum(case[0], case[2])[0], rel=1e-8)


def test_curvature_that_no_class_mean_points_at_is_found():
    # two classes share their mean and differ along a direction of their own, which the means and
    # the products with them never touch; there the largest eigenvalue lies
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    features = 0.01 * rng.normal(size=(200, 64))
    features[labels == 0, 0] += 3.0
    features[labels == 1, 0] -= 3.0
    apart = np.tile([5.0, -5.0], 50)
    features[labels >= 2, 1] += apart
    features[labels >= 2, 2] += 20.0
    weight = np.zeros((4, 64))
    weight[0, 0], weight[1, 0] = 0.3, -0.3
    weight[:2, 2], weight[2:, 2] = -1.0, 1.0
    case = (features.astype(np.float32), labels, weight.astype(np.float32))
    layer, known = opened(*case)
    assert compressed.pays(layer, 1)
    truth = spectrum(case[0], case[2])
    assert largest(layer, 1, known=known).values[0] == pytest.approx(truth[0], rel=1e-8)


def test_a_saturated_softmax_has_no_curvature_and_says_so():
    features, labels, weight = drawn(1, decay=1.2, gain=1e4)
    layer, known = opened(features, labels, weight)
    solved = largest(layer, 1, known=known)
    truth = spectrum(features, weight)[0]
    assert abs(solved.values[0] - truth) <= solved.errors[0] + 1e-13 * truth


def test_features_that_are_all_zero_have_nothing_to_project():
    labels = np.arange(60) % 3
    layer, known = opened(np.zeros((60, 48), np.float32), labels, np.ones((3, 48), np.float32))
    assert largest(layer, 1, known=known).values[0] == 0.0


def test_the_size_of_blocks_does_not_matter(monkeypatch):
    case = drawn(3, decay=1.2)
    whole = largest(opened(*case)[0], 2)
    monkeypatch.setattr("nccli.hessian.layer.BLOCK_BYTES", 2_000)
    pieces = largest(opened(*case)[0], 2)
    np.testing.assert_allclose(pieces.values, whole.values, rtol=1e-9)


def test_probabilities_are_kept_in_double_where_they_are_small(monkeypatch):
    case = drawn(4, decay=1.2, gain=3.0)
    double, _ = opened(*case)
    assert double.kept_NK.dtype == np.float64
    assert double.precise.kept_NK is double.kept_NK
    monkeypatch.setattr("nccli.hessian.layer.KEPT_BYTES", 4 * double.kept_NK.size)
    single, _ = opened(*case)
    assert single.kept_NK.dtype == np.float32
    assert single.precise.kept_NK is None
    vectors = np.random.default_rng(0).normal(size=(2, *double.weight_KD.shape))
    np.testing.assert_allclose(
        weight_product(single.precise, vectors),
        weight_product(double.precise, vectors),
        rtol=1e-10,
        atol=1e-16,
    )


def test_leading_rows_keep_what_counts():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 3)) @ rng.normal(size=(3, 30))
    rows += 1e-6 * rng.normal(size=(6, 30))
    kept = compressed.leading_rows(rows, 1e-3)
    assert kept.shape == (3, 30)
    basis = np.linalg.qr(kept.T)[0]
    assert np.linalg.norm(rows - rows @ basis @ basis.T) <= 1e-3
