"""Calibration scores against literal references, on the edges, and where peers go wrong."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from nccli import calibration
from nccli.calibration.bins import bin_edges, mass_cuts, ranked, sums_between, width_cuts
from nccli.calibration.predictions import of_arrays
from nccli.calibration.scores import CHOICES
from nccli.calibration.smooth import coverages, residuals, risk_coverage, smooth_error
from nccli.calibration.statistics import collect
from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError, UsageError


def predictions(seed=0, *, count=400, num_classes=5, sharpness=2.0, signal=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, count)
    logits = rng.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += signal
    return sharpness * logits, labels


def samples_of(logits, labels):
    return ranked(collect(of_arrays(logits, labels), num_bins=15).odds_N)


def samples_at(confidences, right):
    """Samples of these confidences exactly, by their odds."""
    odds = (1 - np.asarray(confidences)) / np.asarray(confidences)
    return ranked(np.copysign(odds, np.where(right, 1.0, -1.0)))


def literal_scores(logits, labels, num_bins):
    p = reference.softmax_rows(logits)
    confidence, right = p.max(axis=1), (p.argmax(axis=1) == labels).astype(float)
    own, onehot = p[np.arange(len(labels)), labels], np.eye(logits.shape[1])[labels]
    brier = np.mean(np.sum((p - onehot) ** 2, axis=1))
    repaired = reference.brier_calibration(p, labels, num_bins)
    return {
        "accuracy": right.mean(),
        "confidence": confidence.mean(),
        "confidence_right": confidence[right == 1].mean(),
        "confidence_wrong": confidence[right == 0].mean(),
        "nll": -np.log(own).mean(),
        "brier": brier,
        "brier_calibration": repaired,
        "brier_refinement": brier - repaired,
        "ece": reference.ece(confidence, right, num_bins),
        "mce": reference.mce(confidence, right, num_bins),
        "ece_classwise": reference.classwise_ece(p, labels, num_bins),
        "overconfidence": confidence.mean() - right.mean(),
        "saturated": np.mean(confidence > 0.999),
        "aurc": reference.aurc(reference.log_odds(logits), right),
    }


@pytest.mark.parametrize("num_classes", [2, 5, 60])  # the last is worked on row by row
@pytest.mark.parametrize("num_bins", [1, 2, 10, 15, 20])
@pytest.mark.parametrize("sharpness", [0.5, 2.0, 30.0])
def test_scores_agree_with_their_literal_definitions(num_classes, num_bins, sharpness):
    logits, labels = predictions(sharpness=sharpness, num_classes=num_classes, count=300)
    found = calibration.score(logits, labels, num_bins=num_bins)
    for name, value in literal_scores(logits, labels, num_bins).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-10, abs=1e-12), name
    assert found.ece_over + found.ece_under == pytest.approx(found.ece, rel=1e-12)


@pytest.mark.parametrize("kind", ["float32", "float16", "features"])
def test_files_in_lower_precision_give_the_same_scores(kind, monkeypatch):
    monkeypatch.setattr("nccli.calibration.predictions.BLOCK_BYTES", 5_000)
    monkeypatch.setattr("nccli.collapse.spans.SPAN_BYTES", 20_000)
    logits, labels = predictions(num_classes=60, count=2_000)
    options = {"split": "test", "resamples": 0}
    if kind == "features":
        monkeypatch.setattr("nccli.collapse.centres.SMALL", 0)
        weight = np.eye(60, dtype=np.float32)
        point = Checkpoint.from_arrays({"test": (logits.astype(np.float32), labels)}, weight=weight)
    else:
        stored = logits.astype(kind)
        point, logits = Checkpoint.from_arrays({"test": (logits, labels, stored)}), stored
    exact = calibration.score(logits.astype(np.float64), labels)
    found = calibration.analyze(point, **options)
    for name in literal_scores(*predictions(), 15):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=2e-5, abs=1e-7), name


def test_no_digit_depends_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr("nccli.collapse.spans.SPAN_BYTES", 3_000)
    logits, labels = predictions(count=900)
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    one, many = (calibration.analyze(point, threads=threads, resamples=50) for threads in (1, 3))
    assert one == many


# --- bins -----------------------------------------------------------------------------------------


def test_edges_are_the_nearest_doubles():
    assert bin_edges(15).tolist() == [i / 15 for i in range(16)]


@pytest.mark.parametrize("num_bins", [2, 5, 10, 15])
def test_bins_are_right_closed_whatever_lies_on_an_edge(num_bins):
    edges = np.arange(1, num_bins + 1) / num_bins
    samples = samples_at(edges, np.ones(num_bins, bool))
    sums = sums_between(samples, width_cuts(samples, num_bins))
    assert sums.counts_B.tolist() == [1] * num_bins
    above = samples_at(edges[:-1] * (1 + 1e-9), np.zeros(num_bins - 1, bool))
    counts = sums_between(above, width_cuts(above, num_bins)).counts_B
    assert counts.tolist() == [0] + [1] * (num_bins - 1)


def test_hand_computed_bins():
    confidences = [0.55, 0.6, 0.65, 0.9, 1.0, 1.0]
    right = np.array([True, False, False, True, True, False])
    samples = samples_at(confidences, right)
    sums = sums_between(samples, width_cuts(samples, 5))
    assert sums.counts_B.tolist() == [0, 0, 2, 1, 3]
    assert sums.gaps_B == pytest.approx([0, 0, 1.15 - 1, 0.65, 2.9 - 2])
    assert sums.error == pytest.approx((0.15 + 0.65 + 0.9) / 6)


def test_confidence_one_needs_no_bin_of_its_own():
    """A phantom extra bin (torchmetrics, relplot) says 0.075 where the textbook says 0.025."""
    confidences = np.array([0.95] * 20 + [1.0] * 20)
    right = np.r_[np.ones(20, bool), np.ones(18, bool), np.zeros(2, bool)]
    samples = samples_at(confidences, right)
    found = sums_between(samples, width_cuts(samples, 15)).error
    assert found == pytest.approx(abs(confidences.mean() - right.mean()))
    assert found == pytest.approx(0.025)


def test_a_probability_on_an_edge_stays_in_the_bin_below():
    probabilities = np.array([[0.6, 0.4], [0.2, 0.8], [0.6, 0.4]])
    found = calibration.score(probabilities, np.array([0, 1, 1]), num_bins=5, probabilities=True)
    assert [one.count for one in found.bins] == [0, 0, 2, 1, 0]


def test_equal_mass_bins_hold_equal_counts_and_keep_ties_together():
    rng = np.random.default_rng(0)
    samples = samples_at(rng.uniform(0.3, 1, 150), rng.random(150) < 0.7)
    assert sums_between(samples, mass_cuts(samples, 15)).counts_B.tolist() == [10] * 15
    tied, right = np.array([0.4, 0.5, 0.5, 0.5, 0.5, 0.9]), np.array([1, 0, 1, 0, 1, 1], bool)
    samples = samples_at(tied, right)
    assert sums_between(samples, mass_cuts(samples, 3)).counts_B.tolist() == [1, 4, 1]
    for seed in range(5):  # one peer's answer depends on the order of ties
        order = np.random.default_rng(seed).permutation(6)
        again = samples_at(tied[order], right[order])
        assert mass_cuts(again, 3).tolist() == mass_cuts(samples, 3).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_equal_mass_bins_are_those_of_the_middle_of_the_ties(seed):
    rng = np.random.default_rng(seed)
    confidences = np.round(rng.uniform(0.2, 1, 57), 1 if seed % 2 else 3)
    right = rng.random(57) < 0.6
    bins = reference.equal_mass_bins(confidences, 7)
    samples = samples_at(confidences, right)
    found = sums_between(samples, mass_cuts(samples, 7))
    assert found.counts_B.tolist() == np.bincount(bins, minlength=7).tolist()
    gaps = np.bincount(bins, weights=confidences - right, minlength=7)
    np.testing.assert_allclose(found.gaps_B, gaps, atol=1e-12)


def test_no_sample_is_dropped_by_equal_mass_bins():
    for count in range(1, 40):
        samples = samples_at(np.linspace(0.5, 1, count), np.ones(count, bool))
        assert sums_between(samples, mass_cuts(samples, 15)).counts_B.sum() == count


def test_the_debiased_square_is_that_of_kumar_et_al():
    logits, labels = predictions(5, count=300)
    p = reference.softmax_rows(logits)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for part in np.array_split(np.argsort(confidence), 15):
        accuracy = right[part].mean()
        bias = accuracy * (1 - accuracy) / (len(part) - 1)
        expected += len(part) / 300 * ((confidence[part].mean() - accuracy) ** 2 - bias)
    found = calibration.score(logits, labels)
    assert found.ece_squared_debiased == pytest.approx(expected, rel=1e-9)
    gaps = [abs(np.sum(confidence[part] - right[part])) for part in
            np.array_split(np.argsort(confidence), 15)]  # fmt: skip
    assert found.ece_equal_mass == pytest.approx(sum(gaps) / 300, rel=1e-9)


def test_the_bins_of_the_report_hold_every_sample_and_say_empty_as_none():
    logits, labels = predictions()
    found = calibration.score(logits, labels)
    assert sum(one.count for one in found.bins) == len(labels)
    empty = [one for one in found.bins if one.count == 0]
    assert empty
    assert all(one.accuracy is None and one.confidence is None for one in empty)


def test_the_error_with_other_bins_is_the_error_with_other_bins():
    logits, labels = predictions()
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    found = calibration.analyze(point, resamples=0).bin_sensitivity
    assert [one.bins for one in found] == list(CHOICES)
    for one in found:
        assert one.ece == pytest.approx(calibration.score(logits, labels, num_bins=one.bins).ece)


# --- no bins --------------------------------------------------------------------------------------


def test_the_smooth_error_is_the_width_of_its_own_kernel():
    logits, labels = predictions(count=500, sharpness=4.0)
    p = reference.softmax_rows(logits)
    confidence, right = p.max(axis=1), (p.argmax(axis=1) == labels).astype(float)
    found = calibration.score(logits, labels).ece_smooth
    literal = reference.smoothed_error(confidence, right, found)
    assert found == pytest.approx(literal, rel=2e-4)


def test_the_smooth_error_does_not_stop_early():
    """One peer's is 5 to 12 % low; a constant shift of confidence has a known answer."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.55, 0.95, 200_000)
    right = rng.random(200_000) < confidence - 0.1
    found = smooth_error(residuals(samples_at(confidence, right))[None])[0]
    assert found == pytest.approx(np.mean(confidence - right), rel=0.02)


def test_risk_coverage_takes_ties_in_random_order():
    confidence = np.array([0.9, 0.9, 0.9, 0.6, 0.6])
    right = np.array([True, False, True, False, True])
    orders = [(a, b) for a in range(3) for b in range(2)]
    areas = []
    for first, second in orders:
        errors = np.zeros(5)
        errors[first], errors[3 + second] = 1, 1
        areas.append(np.mean(np.cumsum(errors) / np.arange(1, 6)))
    assert risk_coverage(samples_at(confidence, right)) == pytest.approx(np.mean(areas))


def test_accuracy_at_coverage_covers_all_ties():
    found = coverages(samples_at([0.9, 0.8, 0.8, 0.8, 0.7], np.array([1, 1, 0, 1, 0], bool)))
    half = found[0]
    assert (half.coverage, half.accuracy) == (0.8, 0.75)
    assert half.threshold == pytest.approx(0.8)
    assert found[-1].accuracy == 0.6


# --- invariances and extremes ---------------------------------------------------------------------


def test_scores_do_not_see_class_names_or_a_shift_of_the_logits():
    logits, labels = predictions()
    names = np.random.default_rng(1).permutation(5)
    renamed = np.empty_like(logits)
    renamed[:, names] = logits
    shifted = renamed + np.random.default_rng(2).normal(size=(len(labels), 1))
    one, two = calibration.score(logits, labels), calibration.score(shifted, names[labels])
    for name in calibration.Scores.__dataclass_fields__:
        if name != "bins":
            assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-9), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_confidence_keeps_its_doubt(dtype):
    logits = np.zeros((10, 3), dtype)
    logits[:, 0] = 45.0
    found = calibration.score(logits, np.zeros(10, int))
    doubt = 2 * np.exp(-45.0)
    assert found.confidence == 1.0
    assert found.ece == pytest.approx(doubt, rel=1e-6)
    assert found.nll == pytest.approx(doubt, rel=1e-6)
    assert found.ece_noise_floor == pytest.approx(
        np.sqrt(2 / np.pi) * np.sqrt(10 * doubt) / 10, rel=1e-6
    )


def test_sums_of_a_million_do_not_drift():
    """float32 sums (torchmetrics) say 0.00469 of a calibrated million whose error is 0.0002."""
    rng = np.random.default_rng(0)
    logits = np.stack([rng.normal(size=1_000_000), np.zeros(1_000_000)], axis=1).astype(np.float32)
    p = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64)))
    labels = (rng.random(1_000_000) > p).astype(int)
    found = calibration.score(logits, labels)
    confidence, right = np.maximum(p, 1 - p), (p < 0.5) == labels
    bins = np.minimum((confidence * 15).astype(int), 14)
    exact = np.abs(np.bincount(bins, weights=confidence - right)).sum() / 1e6
    assert found.ece == pytest.approx(exact, rel=1e-3)
    assert found.ece < 0.0015


def test_logits_between_zero_and_one_stay_logits():
    """torchmetrics takes them for probabilities, batch by batch."""
    rng = np.random.default_rng(0)
    logits, labels = rng.random((200, 4)), rng.integers(0, 4, 200)
    found = calibration.score(logits, labels)
    assert found.confidence == pytest.approx(reference.softmax_rows(logits).max(axis=1).mean())


def test_ties_are_predicted_as_the_first_class():
    logits, labels = np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    found = calibration.score(logits, labels)
    assert found.accuracy == pytest.approx(2 / 6)
    assert found.confidence == pytest.approx(1 / 3)


def test_float32_log_loss_is_not_biased_by_clipping():
    logits = np.array([[60.0, 0.0], [0.0, 200.0]], np.float32)
    assert calibration.score(logits, np.array([1, 0])).nll == pytest.approx(130.0)


def test_a_thousand_classes_most_of_them_empty():
    logits, labels = predictions(num_classes=1_000, count=50, signal=4.0)
    found = calibration.score(logits, labels)
    expected = literal_scores(logits, labels, 15)
    assert found.ece_classwise == pytest.approx(expected["ece_classwise"], rel=1e-9)
    assert found.brier_calibration == pytest.approx(expected["brier_calibration"], rel=1e-9)


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong(right):
    labels = np.arange(40) % 4
    logits = 5 * np.eye(4)[labels if right else (labels + 1) % 4]
    report = calibration.analyze(Checkpoint.from_arrays({"test": (logits, labels, logits)}))
    assert report.calibrated is None
    assert report.temperature is None
    assert any("not identified" in note for note in report.notes)
    assert report.accuracy == float(right)
    assert report.ece == pytest.approx(abs(right - report.confidence))
    assert (report.confidence_wrong is None) == right


def test_fewer_samples_than_bins_is_said():
    logits, labels = predictions(count=7)
    report = calibration.analyze(Checkpoint.from_arrays({"test": (logits, labels, logits)}))
    assert any("fewer samples than bins" in note for note in report.notes)


def test_one_sample_is_enough_for_what_it_says():
    report = calibration.analyze(
        Checkpoint.from_arrays({"test": (np.ones((1, 3)), np.array([1]), np.array([[0, 1.0, 0]]))})
    )
    assert report.n == 1
    assert report.accuracy == 1.0
    assert any("1 sample, 5 folds" in note for note in report.notes)


# --- probabilities --------------------------------------------------------------------------------


def test_probabilities_give_what_their_logits_give():
    logits, labels = predictions()
    p = reference.softmax_rows(logits)
    one = calibration.score(logits, labels)
    two = calibration.score(p, labels, probabilities=True)
    for name in calibration.Scores.__dataclass_fields__:
        if name != "bins":
            assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-9), name


def test_probabilities_that_were_saved_as_logits_are_noticed():
    logits, labels = predictions()
    p = reference.softmax_rows(logits).astype(np.float16)
    point = Checkpoint.from_arrays({"test": (logits, labels, p)})
    noticed = calibration.analyze(point, resamples=0)
    assert any("look like probabilities" in note for note in noticed.notes)
    read = calibration.analyze(point, resamples=0, probabilities=True)
    assert not any("look like probabilities" in note for note in read.notes)
    assert read.ece == pytest.approx(calibration.score(logits, labels).ece, abs=2e-3)


def test_logits_are_refused_as_probabilities():
    logits, labels = predictions()
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    with pytest.raises(ContentError, match="no probabilities"):
        calibration.analyze(point, probabilities=True)
    bare = Checkpoint.from_arrays({"test": (logits, labels)}, weight=np.eye(5))
    with pytest.raises(ContentError, match="no test/logits"):
        calibration.analyze(bare, probabilities=True)


def test_a_probability_of_zero_costs_a_finite_loss():
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.3, 0.7]])
    found = calibration.score(p, np.array([1, 0, 1]), probabilities=True)
    assert 200 < found.nll < 300  # -log of the smallest double, over three
    point = Checkpoint.from_arrays({"test": (p, np.array([1, 0, 1]), p)})
    report = calibration.analyze(point, probabilities=True, resamples=0)
    assert any("1 of the labels have a probability of exactly 0" in note for note in report.notes)


def test_an_infinite_loss_is_said():
    logits = np.array([[3.4e38, -3.4e38], [1.0, 0.0]], np.float32)
    point = Checkpoint.from_arrays({"test": (logits, np.array([1, 0]), logits)})
    with np.errstate(over="ignore", invalid="ignore"):
        report = calibration.analyze(point, resamples=0)
    assert any("nll is infinite" in note for note in report.notes)


# --- refusals -------------------------------------------------------------------------------------


def test_a_file_with_neither_logits_nor_classifier_is_refused():
    point = Checkpoint.from_arrays({"test": (np.ones((4, 2)), np.array([0, 1, 0, 1]))})
    with pytest.raises(ContentError, match="neither a classifier nor test/logits"):
        calibration.analyze(point)


def test_one_class_is_refused():
    point = Checkpoint.from_arrays({"test": (np.ones((4, 2)), np.zeros(4, int), np.ones((4, 1)))})
    with pytest.raises(ContentError, match="one class"):
        calibration.analyze(point)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "at least 1 bin and 2 folds"),
        ({"protocol": "guess"}, "--protocol knows no 'guess'"),
        ({"method": "magic"}, "--recalibrate knows no 'magic'"),
        ({"protocol": "paper", "fit": "train"}, "do not go together"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    logits, labels = predictions()
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    with pytest.raises(UsageError, match=message):
        calibration.analyze(point, **options)
