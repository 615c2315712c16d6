"""Measured last-layer curvature against dense Hessians, and against the theory at its optimum."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
from conftest import checkpoint, network
from test_ufm import point_at_minimum, problem_of

from nccli import hessian
from nccli.checkpoint import Checkpoint, Metadata
from nccli.collapse.centres import class_centres
from nccli.errors import ContentError, UsageError
from nccli.hessian.curvature import complement_of_ones
from nccli.hessian.feature_block import block_eigenvalues, centred_factor
from nccli.hessian.layer import softmax_rows

CASES = [
    {"seed": 0, "count": 36, "gain": 0.2},
    {"seed": 1, "num_classes": 3, "dim": 6, "count": 30, "balanced": False, "gain": 0.2},
    {"seed": 2, "num_classes": 2, "dim": 3, "count": 24, "gain": 0.2},
    {"seed": 3, "num_classes": 5, "dim": 4, "count": 40, "gain": 0.2},  # d = K - 1
    {"seed": 4, "num_classes": 6, "dim": 3, "count": 40, "gain": 0.2},  # d < K - 1
]


def dense(point, delta=0.1):
    part = point.splits["train"]
    weight, bias = point.classifier.arrays()
    h, y = part.features.load(), part.labels.load()
    return weight, h, y, reference.joint_hessian(weight, h, y, delta, bias=bias)


@pytest.mark.parametrize("options", CASES)
def test_measured_values_are_those_of_the_dense_hessian(options):
    point = checkpoint(test=False, **options)
    weight, _, _, full = dense(point)
    block_w, block_h = full[: weight.size, : weight.size], full[weight.size :, weight.size :]
    report = hessian.analyze(point, lambda_w=0.01, lambda_h=0.002)
    values_h = np.linalg.eigvalsh(block_h)
    smallest = max(values_h[0], 0.0)
    expected = {
        "lambda_max_w": np.linalg.eigvalsh(block_w)[-1],
        "lambda_max_h": values_h[-1],
        "lambda_max_joint": np.linalg.eigvalsh(full)[-1],
        "trace_w": np.trace(block_w),
        "trace_h": np.trace(block_h),
        "kappa_regularised_w": 1 + np.linalg.eigvalsh(block_w)[-1] / 0.01,
        "kappa_regularised_h": (values_h[-1] + 0.002) / (smallest + 0.002),
    }
    for name, value in expected.items():
        assert getattr(report, name) == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("options", CASES[:4])
def test_kappa_means_is_the_condition_number_of_the_compressed_dense_block(options):
    point = checkpoint(test=False, **options)
    weight, _, _, full = dense(point)
    basis = np.kron(complement_of_ones(point.num_classes), class_centres(point, "train").basis_DR)
    values = np.linalg.eigvalsh(basis.T @ full[: weight.size, : weight.size] @ basis)
    report = hessian.analyze(point)
    assert report.kappa_means_w == pytest.approx(values[-1] / values[0], rel=1e-7)


def test_kappa_h_is_taken_over_the_samples_own_blocks():
    point = checkpoint(5, test=False, num_classes=4, dim=6, count=40, gain=0.2)
    weight, h, _, full = dense(point)
    kappas = []
    for i in range(len(h)):
        start = weight.size + i * h.shape[1]
        values = np.linalg.eigvalsh(full[start : start + 6, start : start + 6])
        kappas.append(values[-1] / values[-3])  # K - 1 = 3 non-zero ones
    report = hessian.analyze(point)
    assert report.kappa_h_median == pytest.approx(np.quantile(kappas, 0.5, method="lower"))
    assert report.kappa_h_p90 == pytest.approx(np.quantile(kappas, 0.9, method="lower"))


@pytest.mark.parametrize(
    "case",
    [
        (4, 5, 6, 0.1, 5e-3, 1e-3),
        (3, 4, 2, 0.0, 5e-3, 1e-3),
        (2, 6, 4, 0.05, 1e-2, 1e-3),
        (2, 6, 1, 0.05, 1e-2, 1e-3),  # d = K - 1
        # the joint Hessian's largest lies where products with the W block's vector never lead
        (3, 5, 4, 0.0, 0.1414, 0.0566),
        (3, 2, 2, 0.1, 0.298, 0.119),
        (6, 5, 7, 0.0, 0.1, 0.01),
    ],
)
def test_at_the_collapsed_optimum_every_measured_value_is_the_theorys(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    metadata = Metadata(
        label_smoothing=problem.label_smoothing,
        weight_decay=problem.lambda_w,
        feature_decay=problem.lambda_h,
    )
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, metadata=metadata)
    report = hessian.analyze(point)
    compared = [f.name for f in dataclasses.fields(report) if f.name.startswith("theory_")]
    compared = [name for name in compared if not name.startswith("theory_spectrum_")]
    assert len(compared) == 12
    for name in compared:
        measured = getattr(report, name.removeprefix("theory_"))
        assert measured == pytest.approx(getattr(report, name), rel=1e-9), name


def test_the_norm_balance_finds_lambda_h_at_the_optimum():
    problem = problem_of((4, 5, 6, 0.1, 5e-3, 1e-3))
    weight, features, labels = point_at_minimum(problem)
    metadata = Metadata(label_smoothing=0.1, weight_decay=5e-3)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, metadata=metadata)
    report = hessian.analyze(point)
    assert report.lambda_h == pytest.approx(1e-3, rel=1e-9)
    assert report.lambda_h_source == "norm balance"
    assert any("norm balance" in note for note in report.notes)


@pytest.mark.parametrize("gap", [5.0, 20.0, 28.0])
def test_confident_predictions_lose_no_digits(gap):
    others = np.exp(np.array([0.0, -1.0, 0.5]) - gap)  # 1 - p_top down to 1e-12
    p = np.array([1.0, *others]) / (1 + others.sum())
    predicted, top = softmax_rows(np.array([[gap, 0.0, -1.0, 0.5]]))
    weight = np.random.default_rng(0).normal(size=(4, 6))
    factor, directions = centred_factor(weight)
    values = block_eigenvalues(predicted, top, factor)[0][::-1]
    # scale out the small factor before an ordinary solver sees the matrix
    scale = others.sum()
    a = np.diag(p) - np.outer(p, p)
    a[0, 0] = p[0] * others.sum() / (1 + others.sum())
    exact = np.linalg.eigvalsh(weight.T @ (a / scale) @ weight)[::-1][:directions] * scale
    np.testing.assert_allclose(values, exact, rtol=1e-6)


def test_curvature_does_not_see_a_rotation_or_the_names_of_the_classes():
    h, y, weight, bias = network(3, num_classes=4, count=48, gain=0.3)
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    names = np.array([2, 0, 3, 1])
    renamed, moved = np.empty_like(weight), np.empty_like(bias)
    renamed[names], moved[names] = weight @ q, bias
    metadata = Metadata(label_smoothing=0.1, weight_decay=1e-3)
    one = Checkpoint.from_arrays({"train": (h, y)}, weight=weight, bias=bias, metadata=metadata)
    two = Checkpoint.from_arrays(
        {"train": (h @ q, names[y])}, weight=renamed, bias=moved, metadata=metadata
    )
    first, second = hessian.analyze(one), hessian.analyze(two)
    for name in ("lambda_max_w", "lambda_max_joint", "trace_h", "kappa_means_w", "kappa_h_p90"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-7), name


def test_without_penalties_the_regularised_numbers_are_undefined():
    h, y, weight, bias = network(3)
    point = Checkpoint.from_arrays({"train": (h, y)}, weight=weight, bias=bias)
    report = hessian.analyze(point)
    assert report.kappa_regularised_w is None
    assert report.theory_kappa_means_w is None
    assert report.lambda_max_w is not None
    assert any("give --lambda-w" in note for note in report.notes)


def test_a_file_without_classifier_is_refused():
    h, y, _, _ = network(3)
    with pytest.raises(ContentError, match="has no classifier"):
        hessian.analyze(Checkpoint.from_arrays({"train": (h, y)}))


def test_a_rank_deficient_classifier_has_no_kappa_h():
    h, y, weight, bias = network(3)
    weight[1] = weight[0]
    report = hessian.analyze(Checkpoint.from_arrays({"train": (h, y)}, weight=weight, bias=bias))
    assert report.kappa_h_median is None
    assert any("rank 3, not K - 1" in note for note in report.notes)


def test_many_classes_are_sampled_and_said_so(monkeypatch):
    point = checkpoint(1, test=False, count=900, gain=0.2)
    whole = hessian.analyze(point, top=7)
    monkeypatch.setattr("nccli.hessian.feature_block.WORK", 500 * 5**3)
    sampled = hessian.analyze(point, top=7)
    assert [one.value for one in sampled.spectrum_h] == pytest.approx(
        [one.value for one in whole.spectrum_h], rel=1e-12
    )
    assert sampled.kappa_h_median == pytest.approx(whole.kappa_h_median, rel=0.5)
    assert sampled.trace_h == whole.trace_h
    assert sampled.lambda_max_h == pytest.approx(whole.lambda_max_h, rel=1e-12)
    assert sampled.lambda_max_h_error == 0.0  # proven by bounds of the others
    assert any("seeded sample of 500 of 900" in note for note in sampled.notes)


def test_a_search_that_would_take_too_much_memory_ends_earlier_and_says_so(monkeypatch):
    point = checkpoint(1, test=False, count=300, gain=0.2)
    whole = hessian.analyze(point, top=6)
    assert len(whole.spectrum_joint) == 6
    monkeypatch.setattr("nccli.hessian.joint.SEARCH_BYTES", 1)
    monkeypatch.setattr("nccli.hessian.direct.MAX_SIZE", 1)
    short = hessian.analyze(point, top=6)
    assert len(short.spectrum_joint) == 1
    assert short.lambda_max_joint == pytest.approx(whole.lambda_max_joint, rel=1e-8)
    assert any("spectrum_joint ends at rank 1" in note for note in short.notes)


def test_zero_features_say_why_lambda_h_is_unknown():
    y = np.arange(30) % 3
    point = Checkpoint.from_arrays(
        {"train": (np.zeros((30, 4)), y)}, weight=np.eye(3, 4), metadata=Metadata(weight_decay=1e-3)
    )
    report = hessian.analyze(point)
    assert report.lambda_h is None
    assert any("lambda_h is unknown" in note for note in report.notes)
    assert any("kappa_means_w is left out" in note for note in report.notes)


def test_a_negative_penalty_is_refused():
    with pytest.raises(UsageError, match="--lambda-w must be finite and not negative"):
        hessian.analyze(checkpoint(1), lambda_w=-1.0)


def test_saturated_probabilities_are_reported_not_invented():
    h, y, weight, bias = network(3)
    point = Checkpoint.from_arrays({"train": (h, y)}, weight=weight * 400, bias=bias)
    report = hessian.analyze(point)
    assert report.kappa_h_p90 is None
    assert any("underflow" in note for note in report.notes)
