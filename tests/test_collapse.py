"""Neural-collapse metrics against literal references, exact collapse and invariances."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
from conftest import checkpoint, network, simplex

from nccli import collapse
from nccli.checkpoint import Checkpoint, LazyArray, Metadata
from nccli.errors import ContentError
from nccli.result import quantities

CASES = [
    {"seed": 0},
    {"seed": 1, "num_classes": 3, "dim": 20},
    {"seed": 2, "num_classes": 2, "dim": 5},
    {"seed": 3, "num_classes": 6, "dim": 4},  # d < K - 1
    {"seed": 4, "balanced": False, "count": 200},
    {"seed": 5, "noise": 1e-4},
]


def arrays(point, split):
    part = point.splits[split]
    weight, bias = point.classifier.arrays()
    return part.features.load(), part.labels.load(), weight, bias


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_metric_agrees_with_its_literal_definition(options, split):
    point = checkpoint(**options)
    report = collapse.analyze(point, split=split)
    h, y, weight, bias = arrays(point, split)
    train_h, train_y, _, _ = arrays(point, "train")
    centred = reference.centred_means(h, y)
    train_means = reference.class_means(train_h, train_y)
    logits = h @ weight.T + bias
    expected = {
        "nc1": reference.nc1(h, y),
        "nc1_train_means": reference.nc1(h, y, means=train_means),
        "nc2_features": reference.etf_distance(centred @ centred.T),
        "nc2_classifier": reference.etf_distance(weight @ weight.T),
        "nc2_duality": reference.etf_distance(weight @ centred.T),
        "nc2_equinorm_features": reference.equinorm(centred),
        "nc2_equinorm_classifier": reference.equinorm(weight),
        "nc2_equiangular_features": reference.equiangular(centred),
        "nc2_equiangular_classifier": reference.equiangular(weight),
        "nc3": reference.self_duality(weight, centred),
        "nc4": reference.nearest_centre_mismatch(h, weight, bias, train_means),
        "cdnv": reference.cdnv(h, y),
        "weight_norm": np.mean([np.sqrt(w @ w) for w in weight]),
        "feature_norm": np.mean([np.sqrt(x @ x) for x in h]),
        "accuracy": np.mean(np.argmax(logits, axis=1) == y),
        "loss": reference.smoothed_loss(logits, y, 0.1),
        "nontarget_logit_spread": reference.nontarget_spread(logits, y),
    }
    for name, value in expected.items():
        assert getattr(report, name) == pytest.approx(value, rel=1e-8, abs=1e-13), name


def test_an_exact_simplex_etf_has_the_values_of_collapse():
    features, labels, weight = simplex()
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    report = collapse.analyze(point)
    for name, meaning in quantities(report).items():
        if meaning.ideal is not None:
            assert getattr(report, name) == pytest.approx(meaning.ideal, abs=1e-14), name
    assert report.accuracy == 1.0
    assert report.rank == 4


@pytest.mark.parametrize("noise", [1e-3, 1e-5])
def test_nc1_keeps_its_digits_at_deep_collapse_in_float32(noise):
    features, labels, weight = simplex(num_classes=10, dim=64, per_class=50, scale=10.0)
    noisy = (features + noise * np.random.default_rng(1).normal(size=features.shape)).astype("f4")
    point = Checkpoint.from_arrays({"train": (noisy, labels)}, weight=weight)
    expected = reference.nc1(noisy.astype("f8"), labels)
    assert collapse.analyze(point).nc1 == pytest.approx(expected, rel=1e-5)


def values(report):
    skipped = {"rank_cut", "rank_gap", "notes", "path", "split", "loss_name"}
    found = {f.name: getattr(report, f.name) for f in dataclasses.fields(report)}
    return {
        name: value for name, value in found.items() if name not in skipped and value is not None
    }


def assert_same(one, two, *, but=()):
    for name, value in values(one).items():
        if name not in but:
            assert values(two)[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def made(h, y, weight, bias, **options):
    metadata = Metadata(label_smoothing=0.1)
    return Checkpoint.from_arrays(
        {"train": (h, y)}, weight=weight, bias=bias, metadata=metadata, **options
    )


def test_nothing_sees_a_rotation_of_feature_space():
    h, y, weight, bias = network(7)
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))[0]
    one, two = made(h, y, weight, bias), made(h @ q, y, weight @ q, bias)
    assert_same(collapse.analyze(one), collapse.analyze(two))


def test_nothing_sees_the_order_of_the_samples():
    h, y, weight, bias = network(7)
    order = np.random.default_rng(3).permutation(len(y))
    one, two = made(h, y, weight, bias), made(h[order], y[order], weight, bias)
    assert_same(collapse.analyze(one), collapse.analyze(two))


def test_nothing_sees_the_names_of_the_classes():
    h, y, weight, bias = network(7)
    names = np.random.default_rng(3).permutation(5)
    renamed = np.empty_like(weight), np.empty_like(bias)
    renamed[0][names], renamed[1][names] = weight, bias
    one, two = made(h, y, weight, bias), made(h, names[y], *renamed)
    assert_same(collapse.analyze(one), collapse.analyze(two))


def test_shape_metrics_do_not_see_the_scale_of_features_and_weights():
    h, y, weight, bias = network(7)
    one, two = made(h, y, weight, bias), made(3.0 * h, y, weight / 3.0, bias)
    assert_same(collapse.analyze(one), collapse.analyze(two), but=("weight_norm", "feature_norm"))


def test_nc4_counts_the_bias():
    features, labels, weight = simplex(num_classes=3, dim=4, per_class=10)
    bias = np.array([100.0, 0.0, 0.0])  # every prediction is class 0
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, bias=bias)
    assert collapse.analyze(point).nc4 == pytest.approx(2 / 3)


def test_stored_logits_are_the_networks_own_predictions():
    h, y, weight, _ = network(1)
    logits = np.eye(5)[y] * 4.0
    point = Checkpoint.from_arrays({"train": (h, y, logits)}, weight=weight)
    assert collapse.analyze(point).accuracy == 1.0


def test_a_missing_class_is_named_and_never_becomes_a_zero_mean():
    h, y, weight, bias = network(1)
    seen = y != 3
    report = collapse.analyze(made(h[seen], y[seen], weight, bias))
    assert report.nc1 == pytest.approx(reference.nc1(h[seen], y[seen]), rel=1e-9)
    assert any("no samples of class 3" in note for note in report.notes)


def test_a_class_of_one_sample_is_named():
    h, y, weight, bias = network(1)
    kept = (y != 2) | (np.cumsum(y == 2) == 1)
    report = collapse.analyze(made(h[kept], y[kept], weight, bias))
    assert any("one sample only of class 2" in note for note in report.notes)


def test_one_class_is_refused():
    h, _, _, _ = network(1)
    point = Checkpoint.from_arrays({"train": (h, np.zeros(len(h), int))}, num_classes=5)
    with pytest.raises(ContentError, match="samples of 1 class, collapse needs at least 2"):
        collapse.analyze(point)


def test_without_a_classifier_the_features_are_still_measured():
    h, y, _, _ = network(1)
    report = collapse.analyze(Checkpoint.from_arrays({"train": (h, y)}))
    assert report.nc1 == pytest.approx(reference.nc1(h, y), rel=1e-9)
    assert report.cdnv is not None
    assert report.nc2_features is not None
    assert report.nc3 is None
    assert report.nc4 is None
    assert report.accuracy is None
    assert any("no classifier" in note for note in report.notes)


def test_a_test_split_alone_has_no_train_means():
    h, y, weight, bias = network(1)
    point = Checkpoint.from_arrays({"test": (h, y)}, weight=weight, bias=bias)
    report = collapse.analyze(point, split="test")
    assert report.nc1 is not None
    assert report.nc4 is None
    assert report.nc1_train_means is None
    assert any("need the train split" in note for note in report.notes)


def test_constant_features_are_undefined_and_said_so():
    y = np.arange(30) % 3
    point = Checkpoint.from_arrays({"train": (np.ones((30, 4)), y)}, weight=np.eye(3, 4))
    report = collapse.analyze(point)
    assert report.nc1 is None
    assert report.nc2_features is None
    assert report.cdnv is None
    assert any("all class means coincide" in note for note in report.notes)


def test_coinciding_means_lower_the_rank_instead_of_exploding():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    centres = rng.normal(size=(4, 6)) + 50.0
    centres[3] = centres[2]
    pairs = np.repeat(rng.normal(size=(50, 6)), 2, axis=0) * np.tile([[1], [-1]], (50, 1))
    h = np.empty((400, 6))
    for c in range(4):
        h[y == c] = centres[c] + pairs  # the sample means are the centres, to rounding
    report = collapse.analyze(Checkpoint.from_arrays({"train": (h, y)}))
    assert report.rank == 2
    assert report.nc1 < 1e3


def test_lazy_blocks_cover_every_row_once():
    array = np.arange(30.0).reshape(10, 3)
    blocks = list(LazyArray.of(array).blocks())
    assert np.array_equal(np.concatenate([block for _, block in blocks]), array)


def test_fewer_samples_than_classes_are_measured_over_the_classes_present():
    h, y, weight, bias = network(1, num_classes=8, dim=12, count=16)
    kept = y < 3
    report = collapse.analyze(made(h[kept], y[kept], weight, bias))
    assert report.n < report.num_classes
    assert report.nc1 == pytest.approx(reference.nc1(h[kept], y[kept]), rel=1e-9)
    assert any("no samples of class 3, 4, 5, 6, 7" in note for note in report.notes)


def test_duplicated_rows_are_perfect_collapse_and_no_division_by_zero():
    features, labels, weight = simplex(num_classes=4, dim=6, per_class=1)
    h, y = np.repeat(features, 50, axis=0), np.repeat(labels, 50)
    report = collapse.analyze(made(h + 0.3, y, weight, np.zeros(4)))
    assert report.nc1 == pytest.approx(0, abs=1e-25)
    assert report.between_noise == pytest.approx(0, abs=1e-25)
    assert report.cdnv == pytest.approx(0, abs=1e-25)


def test_doubling_every_sample_changes_nothing_but_the_sampling_noise():
    h, y, weight, bias = network(7)
    one, two = made(h, y, weight, bias), made(np.tile(h, (2, 1)), np.tile(y, 2), weight, bias)
    assert_same(collapse.analyze(one), collapse.analyze(two), but=("n", "between_noise"))
