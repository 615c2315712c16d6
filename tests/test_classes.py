"""Class by class, pair by pair, and what makes a number trustworthy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
from conftest import network, simplex

from nccli import collapse
from nccli.checkpoint import Checkpoint, Metadata
from nccli.collapse import classes, intervals
from nccli.collapse import gram as angles
from nccli.result import columns, record


def made(features, labels, weight=None, bias=None, *, names=None, **options):
    metadata = Metadata(label_smoothing=0.1, class_names=names)
    return Checkpoint.from_arrays(
        {"train": (features, labels)}, weight=weight, bias=bias, metadata=metadata, **options
    )


def by_class(point, split="train"):
    return classes.analyze(point, split=split)


def gram(point, split="train"):
    return angles.analyze(point, split=split)


# --- class by class -----------------------------------------------------------------------------


@pytest.mark.parametrize("balanced", [True, False])
def test_each_class_agrees_with_its_literal_definition(balanced):
    h, y, weight, bias = network(4, count=200, noise=1.5, balanced=balanced)
    predicted = (h @ weight.T + bias).argmax(axis=1)
    means = reference.class_means(h, y)
    for c, one in enumerate(by_class(made(h, y, weight, bias))):
        mine = y == c
        gaps = [np.inf if k == c else np.linalg.norm(means[c] - means[k]) for k in range(5)]
        wrong = predicted[mine & (predicted != y)]
        assert one.label == c
        assert one.count == mine.sum()
        assert one.accuracy == pytest.approx(np.mean(predicted[mine] == c))
        assert one.variance == pytest.approx(np.square(h[mine] - means[c]).sum() / mine.sum())
        assert one.mean_norm == pytest.approx(np.linalg.norm(means[c] - means.mean(axis=0)))
        assert one.weight_norm == pytest.approx(np.linalg.norm(weight[c]))
        assert (one.nearest, one.nearest_distance) == (np.argmin(gaps), pytest.approx(min(gaps)))
        assert one.confusion_share == pytest.approx(len(wrong) / np.sum(predicted != y))
        often = np.bincount(wrong, minlength=5)
        assert one.confused_share == pytest.approx(often.max() / mine.sum()) or not len(wrong)
        assert one.confused_with == (int(often.argmax()) if len(wrong) else None)


def test_shares_of_nc1_add_up_to_one():
    h, y, weight, bias = network(5, balanced=False, count=150)
    assert sum(one.nc1_share for one in by_class(made(h, y, weight, bias))) == pytest.approx(1)


def test_a_class_without_samples_and_one_of_a_single_sample_are_told_and_never_zero():
    h, y, weight, bias = network(6)
    kept = (y != 1) & ((y != 2) | (np.cumsum(y == 2) == 1))
    found = by_class(made(h[kept], y[kept], weight, bias, names=("a", "b", "c", "d", "e")))
    assert found[1].notes == ("no samples",)
    assert (found[1].count, found[1].class_name) == (0, "b")
    missing = ("variance", "mean_norm", "nearest", "accuracy", "nc1_share", "confusion_share")
    assert [getattr(found[1], name) for name in missing] == [None] * 6
    assert found[1].weight_norm is not None
    assert found[2].variance == 0
    assert 1 not in [one.nearest for one in found]


def test_without_a_classifier_the_means_of_each_class_are_still_measured():
    h, y, _, _ = network(6)
    found = by_class(made(h, y))
    assert all(one.mean_norm > 0 and one.accuracy is None for one in found)


# --- pair by pair -------------------------------------------------------------------------------


def test_the_gram_of_exact_collapse_is_the_simplex():
    features, labels, weight = simplex(num_classes=6, dim=9)
    found = gram(made(features, labels, weight))
    expected = np.full((6, 6), -1 / 5)
    np.fill_diagonal(expected, 1)
    assert found.target == -1 / 5
    assert np.allclose(found.features, expected, atol=1e-14)
    assert np.allclose(found.classifier, expected, atol=1e-14)


def test_the_worst_pair_is_the_two_closest_classes():
    features, labels, weight = simplex(num_classes=6, dim=9, per_class=10)
    features[labels == 4] += 0.8 * (features[labels == 1][0] - features[labels == 4][0])
    found = gram(made(features, labels, weight))
    assert found.worst_features == (1, 4)
    assert found.worst_features_cosine == max(found.features[1][4], found.features[4][1])


def test_a_missing_class_has_no_row_in_the_gram_of_the_means():
    h, y, weight, bias = network(7)
    found = gram(made(h[y != 2], y[y != 2], weight, bias))
    assert found.classes == (0, 1, 3, 4)
    assert np.shape(found.features) == (4, 4)
    assert np.shape(found.classifier) == (5, 5)
    assert 2 not in found.worst_features


def test_what_has_no_direction_has_no_angle():
    y = np.arange(30) % 3
    found = gram(made(np.ones((30, 4)), y, np.zeros((3, 4))))
    assert found.features is None
    assert found.classifier is None
    assert len(found.notes) == 2


# --- floors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_rounding_floor_is_what_rounding_alone_leaves(dtype):
    features, labels, weight = simplex(num_classes=10, dim=64, per_class=100, scale=10.0)
    shifts = np.random.default_rng(0).uniform(0.5, 1.5, size=(1000, 64))
    collapsed = 3.0 + features
    # the same point for all samples of a class, each rounded from another neighbourhood
    rounded = ((collapsed + shifts).astype(dtype).astype(np.float64) - shifts).astype(np.float64)
    measured = reference.nc1(rounded, labels)
    report = collapse.analyze(made((collapsed + 1.0).astype(dtype), labels, weight))
    assert 0.2 < measured / report.nc1_floor < 5


def test_a_metric_at_its_rounding_floor_is_warned_of():
    features, labels, weight = simplex(num_classes=10, dim=64, per_class=100, scale=10.0)
    noise = 1e-3 * np.random.default_rng(0).normal(size=features.shape)
    near = collapse.analyze(made((features + 3 + noise).astype(np.float16), labels, weight))
    far = collapse.analyze(made((features + 3 + noise).astype(np.float32), labels, weight))
    assert any("rounding floor" in note for note in near.notes)
    assert not any("rounding floor" in note for note in far.notes)


def test_features_that_know_nothing_of_their_labels_are_pure_noise_of_means():
    rng = np.random.default_rng(0)
    shares = [
        collapse.analyze(made(rng.normal(size=(400, 30)), np.arange(400) % 10)).between_noise
        for _ in range(20)
    ]
    assert np.mean(shares) == pytest.approx(1.0, abs=0.05)
    report = collapse.analyze(made(rng.normal(size=(400, 30)), np.arange(400) % 10))
    assert any("sampling noise makes up" in note for note in report.notes)


def test_one_class_of_a_single_sample_does_not_hide_the_noise_of_the_others():
    features = np.random.default_rng(0).normal(size=(401, 30))
    labels = np.append(np.arange(400) % 9, 9)
    report = collapse.analyze(made(features, labels))
    assert report.between_noise > 0.8
    assert any("sampling noise makes up" in note for note in report.notes)


def test_well_separated_classes_have_next_to_no_noise_of_means():
    h, y, weight, bias = network(1, count=900, noise=0.1)
    report = collapse.analyze(made(h, y, weight, bias))
    assert report.between_noise < 1e-3
    assert report.notes == ()


def test_the_number_of_classes_present_is_told():
    h, y, weight, bias = network(1)
    report = collapse.analyze(made(h[y != 3], y[y != 3], weight, bias))
    assert (report.num_classes, report.num_present, report.num_present_train) == (5, 4, 4)


# --- intervals ----------------------------------------------------------------------------------


def test_intervals_are_seeded_and_hold_the_value():
    h, y, weight, bias = network(2, count=300, noise=1.0)
    point = made(h, y, weight, bias)
    one = intervals.analyze(point, resamples=100)
    assert one == intervals.analyze(point, resamples=100)
    assert one != intervals.analyze(point, resamples=100, seed=1)


@pytest.mark.parametrize("per_class", [10, 100, 1_000])
def test_every_interval_holds_its_metric_however_wide_the_features(per_class):
    features, labels, weight = simplex(num_classes=10, dim=200, per_class=per_class, scale=10.0)
    noisy = features + np.random.default_rng(0).normal(size=features.shape)
    found = intervals.analyze(made(noisy, labels, weight), resamples=40)
    for field in dataclasses.fields(found.intervals):
        interval, value = getattr(found.intervals, field.name), getattr(found, field.name)
        assert interval.low <= value <= interval.high, field.name
    assert found.intervals.nc2_features.low > 0


def test_the_bias_of_few_samples_is_told():
    features, labels, weight = simplex(num_classes=10, dim=200, per_class=10, scale=10.0)
    noisy = features + np.random.default_rng(0).normal(size=features.shape)
    found = intervals.analyze(made(noisy, labels, weight), resamples=40)
    assert any("so few samples move metrics" in note for note in found.notes)


def test_an_interval_narrows_as_the_square_root_of_the_samples():
    widths = []
    for count in (200, 3_200):
        h, y, weight, bias = network(1, count=count, noise=1.0)
        found = intervals.analyze(made(h, y, weight, bias), resamples=100).intervals.nc1
        widths.append(found.high - found.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)


def test_an_interval_covers_what_other_samples_of_the_same_network_give():
    h, y, weight, bias = network(3, count=20_000, noise=1.0)
    truth = collapse.analyze(made(h, y, weight, bias)).nc3
    inside = 0
    for part in range(20):
        rows = slice(part * 1_000, (part + 1) * 1_000)
        found = intervals.analyze(made(h[rows], y[rows], weight, bias), resamples=60)
        inside += found.intervals.nc3.low <= truth <= found.intervals.nc3.high
    assert inside >= 15


def test_shuffled_labels_show_no_collapse_whatever_the_features():
    h, y, weight, bias = network(2, count=300, noise=0.1)
    found = intervals.analyze(made(h, y, weight, bias), resamples=2)
    assert found.nc1_shuffled > 1e3 * found.nc1
    none = intervals.analyze(made(np.random.default_rng(0).normal(size=(300, 8)), y), resamples=2)
    assert any("near that of shuffled labels" in note for note in none.notes)


def test_intervals_have_columns_of_their_own_and_the_report_keeps_its_own():
    h, y, weight, bias = network(2)
    plain = record(collapse.analyze(made(h, y, weight, bias)))
    found = record(intervals.analyze(made(h, y, weight, bias), resamples=3))
    assert {name: found[name] for name in plain if name != "notes"} == {
        name: value for name, value in plain.items() if name != "notes"
    }
    assert {"intervals_nc1_low", "intervals_nc1_high"} < set(columns(intervals.SampledReport))
    assert not any(name.startswith("intervals") for name in columns(collapse.CollapseReport))
    assert set(found["intervals"]["nc1"]) == {"low", "high"}


def test_a_single_class_sample_never_loses_its_class_to_resampling():
    h, y, weight, bias = network(6)
    kept = (y != 2) | (np.cumsum(y == 2) == 1)
    found = intervals.analyze(made(h[kept], y[kept], weight, bias), resamples=20)
    assert found.intervals.nc1.low > 0
    assert dataclasses.asdict(found)["num_present"] == 5
