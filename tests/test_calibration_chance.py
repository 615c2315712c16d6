"""What chance leaves open: noise floor, intervals, bands, the test, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from scipy.special import softmax
from test_calibration import predictions

from nccli import calibration
from nccli.calibration import paired
from nccli.calibration.resample import draws, group_of
from nccli.calibration_report import INTERVALS
from nccli.checkpoint import Checkpoint, Metadata


def calibrated_model(seed, *, count=1_000, num_classes=4, spread=2.0):
    """Labels that are drawn from the probabilities themselves."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(count, num_classes))
    cumulative = np.cumsum(softmax(logits, axis=1), axis=1)
    labels = (rng.random((count, 1)) > cumulative).sum(axis=1).clip(0, num_classes - 1)
    return logits, labels


def analyzed(logits, labels, **options):
    return calibration.analyze(
        Checkpoint.from_arrays({"test": (logits, labels, logits)}), **options
    )


@pytest.fixture(scope="module")
def calibrated_reports():
    return [analyzed(*calibrated_model(seed), resamples=120) for seed in range(60)]


def test_a_calibrated_model_shows_its_noise_floor(calibrated_reports):
    errors = [one.ece for one in calibrated_reports]
    floors = [one.ece_noise_floor for one in calibrated_reports]
    assert np.mean(errors) == pytest.approx(np.mean(floors), rel=0.05)
    unbiased = [one.ece_squared_debiased for one in calibrated_reports]
    assert abs(np.mean(unbiased)) < 4 * np.std(unbiased) / np.sqrt(len(unbiased))


def test_the_test_of_calibration_rejects_a_calibrated_model_at_its_level(calibrated_reports):
    values = np.array([one.calibration_p for one in calibrated_reports])
    assert 0.0 <= np.mean(values < 0.05) <= 0.134  # 60 x 5 %: up to 8 but for one in a hundred
    assert 0.35 <= np.mean(values < 0.5) <= 0.65
    above = np.mean([one.ece > one.ece_null_95 for one in calibrated_reports])
    assert above <= 0.134


def test_bands_hold_a_calibrated_models_accuracies(calibrated_reports):
    inside = [
        entry.band_low <= entry.accuracy <= entry.band_high
        for one in calibrated_reports
        for entry in one.bins
        if entry.count >= 20
    ]
    assert len(inside) > 500
    assert 0.92 <= np.mean(inside) <= 0.98  # accuracies are counts: bands are a little wide


def test_intervals_cover_what_they_estimate_at_the_nominal_rate(calibrated_reports):
    big_logits, big_labels = calibrated_model(10_000, count=400_000)
    truth = calibration.score(big_logits, big_labels)
    names = ("accuracy", "confidence", "confidence_right", "confidence_wrong", "nll", "brier",
             "overconfidence", "aurc", "saturated")  # fmt: skip
    for name in names:
        covered = [
            getattr(one.intervals, name).low <= getattr(truth, name)
            <= getattr(one.intervals, name).high
            for one in calibrated_reports
        ]  # fmt: skip
        assert 0.88 <= np.mean(covered) <= 1.0, name


ERRORS = ("ece", "ece_equal_mass", "ece_classwise", "ece_smooth", "ece_squared_debiased")


@pytest.mark.parametrize("sharpness", [1.15, 2.0])
def test_intervals_of_errors_cover_them_near_calibration_and_far(sharpness):
    big_logits, big_labels = calibrated_model(10_000, count=300_000)
    truth = calibration.score(sharpness * big_logits, big_labels)
    hits = {name: [] for name in ERRORS}
    for seed in range(30):
        logits, labels = calibrated_model(seed, count=1_000)
        one = analyzed(sharpness * logits, labels, resamples=100)
        for name, found in hits.items():
            interval = getattr(one.intervals, name)
            # of so many samples even the truth has a little noise
            low, high = interval.low - 5e-4, interval.high + 5e-4
            found.append(low <= getattr(truth, name) <= high)
    least = dict.fromkeys(ERRORS, 0.65)  # of 30; most are near 0.85
    least["ece_smooth"] = 0.6  # the width of its kernel hangs on the number of samples
    for name, found in hits.items():
        assert np.mean(found) >= least[name], name


def test_two_calibrated_models_are_seldom_told_apart():
    false = dict.fromkeys(ERRORS, 0)
    for seed in range(15):
        logits, labels = calibrated_model(seed, count=800)
        noise = np.random.default_rng(seed).normal(size=logits.shape)
        one = resampled(logits, labels, "cross-entropy", 0.0)
        two = resampled(logits + 0.1 * noise, labels, "label-smoothing", 0.1)
        for row in paired.differences([one, two]):
            if row.score in ERRORS:
                false[row.score] += row.better is not None
            if row.score == "mce":
                assert row.better is None  # one bin decides it
    assert all(count <= 3 for count in false.values()), false


def test_an_unbiased_score_has_no_bias(calibrated_reports):
    assert {one.intervals.ece_squared_debiased.bias for one in calibrated_reports} == {0.0}


def test_small_samples_bias_is_stated_and_taken_off():
    names = ("ece", "ece_classwise", "ece_equal_mass")
    big_logits, big_labels = calibrated_model(10_000, count=300_000)
    truth = calibration.score(2.0 * big_logits, big_labels)
    biases, excesses = {name: [] for name in names}, {name: [] for name in names}
    for seed in range(30):
        logits, labels = calibrated_model(seed, count=300)
        one = analyzed(2.0 * logits, labels, resamples=100)
        for name in names:
            biases[name].append(getattr(one.intervals, name).bias)
            excesses[name].append(getattr(one, name) - getattr(truth, name))
    for name in names:
        bias, excess = np.mean(biases[name]), np.mean(excesses[name])
        assert abs(excess - bias) < 0.4 * excess + 0.004, name


def test_resamples_start_from_the_data_themselves():
    """The first replicate is the data's own: groups, cells and bins lose nothing of it."""
    logits, labels = predictions(count=3_000, sharpness=3.0)
    for data, y in ((logits, labels), (logits[:500], labels[:500])):
        kept = []
        point = Checkpoint.from_arrays({"test": (data, y, data)})
        report = calibration.analyze(point, resamples=2, keep=kept.append)
        for scores, drawn in zip((report, report.calibrated), kept, strict=True):
            for name in INTERVALS:
                loose = {"ece_smooth": 0.02, "aurc": 5e-3}.get(name, 1e-9)
                assert drawn.values[name][0] == pytest.approx(getattr(scores, name), rel=loose), (
                    name
                )


def test_a_resample_is_what_drawing_the_samples_gives():
    logits, labels = predictions(count=200, sharpness=3.0)
    kept = []
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    calibration.analyze(point, resamples=3, seed=5, keep=kept.append)
    for row in (1, 2, 3):
        times = draws(200, 3, 5)[row].astype(int)
        drawn = np.repeat(np.arange(200), times)
        expected = calibration.score(logits[drawn], labels[drawn])
        for name in ("accuracy", "nll", "brier", "ece", "mce", "ece_classwise", "ece_over",
                     "brier_calibration", "confidence_wrong", "saturated"):  # fmt: skip
            found = kept[0].values[name][row]
            assert found == pytest.approx(getattr(expected, name), rel=1e-9), name
        p = reference.softmax_rows(logits[drawn])
        right = (p.argmax(axis=1) == labels[drawn]).astype(float)
        smooth = reference.smoothed_error(p.max(axis=1), right, kept[0].values["ece_smooth"][row])
        assert kept[0].values["ece_smooth"][row] == pytest.approx(smooth, rel=0.02)


def test_groups_are_dealt_evenly_and_do_not_follow_the_rows():
    groups = group_of(np.arange(100_000), 1_000, 100_000, 0)
    counts = np.bincount(groups, minlength=1_000)
    assert counts.min() > 50
    assert np.var(counts) == pytest.approx(100, rel=0.2)  # as independent draws
    for period in (2, 10, 100, 1_000):
        share = np.bincount(groups[::period], minlength=1_000)
        assert np.var(share) == pytest.approx(100 / period, rel=0.3)


def test_the_seed_decides_and_nothing_else():
    logits, labels = predictions()
    assert analyzed(logits, labels, seed=1) == analyzed(logits, labels, seed=1)
    assert analyzed(logits, labels, seed=1).intervals != analyzed(logits, labels, seed=2).intervals


@pytest.mark.parametrize("right", [0, 1, 39, 40])
def test_a_share_that_few_samples_make_up_has_an_interval_all_the_same(right):
    labels = np.arange(40) % 4
    predicted = np.where(np.arange(40) < right, labels, (labels + 1) % 4)
    report = analyzed(5.0 * np.eye(4)[predicted], labels, resamples=50)
    found = report.intervals.accuracy
    assert found.low <= report.accuracy <= found.high
    assert 0.05 < found.high - found.low < 0.2
    if right in (0, 40):
        assert report.accuracy in (found.low, found.high)


def test_any_seed_will_do_for_any_number_of_samples():
    logits, labels = predictions(count=1_200)
    for seed in (2**32 - 1, 2**40):
        assert analyzed(logits, labels, seed=seed, resamples=20).intervals.ece.high > 0


def test_a_few_resamples_do_not_call_a_large_error_noise():
    report = analyzed(*predictions(sharpness=8.0), resamples=5)
    assert not any("by chance" in note for note in report.notes)


def test_one_sample_has_no_interval():
    report = analyzed(np.array([[1.0, 0.0, 0.5]]), np.array([0]))
    assert report.intervals.nll is None
    assert any("one sample has no spread" in note for note in report.notes)


def test_no_resamples_no_intervals():
    report = analyzed(*predictions(), resamples=0)
    assert report.intervals is None
    assert report.calibrated_intervals is None
    assert report.calibration_p is None
    assert all(one.band_low is None for one in report.bins)


def test_noise_is_called_noise():
    quiet = analyzed(*calibrated_model(3), resamples=200)
    loud = analyzed(*predictions(sharpness=8.0), resamples=200)
    assert any("by chance" in note for note in quiet.notes)
    assert not any("by chance" in note for note in loud.notes)


def test_the_change_is_paired():
    """Of a change that every sample shares, the interval is far narrower than of either side."""
    report = analyzed(*predictions(4, sharpness=6.0, count=1_000), resamples=200)
    change, own = report.change_intervals.confidence, report.intervals.confidence
    assert change.high - change.low < 0.8 * (own.high - own.low)
    middle = report.calibrated.confidence - report.confidence
    assert change.low < middle < change.high
    assert report.change_intervals.accuracy.low == report.change_intervals.accuracy.high == 0


# --- label smoothing beside cross-entropy ---------------------------------------------------------


def resampled(logits, labels, loss, delta, *, seed=0, epoch=5):
    metadata = Metadata(loss=loss, label_smoothing=delta, seed=seed, epoch=epoch, dataset="made")
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)}, metadata=metadata)
    return paired.analyze(point, resamples=120)


def test_differences_are_paired_by_sample():
    logits, labels = calibrated_model(0)
    sharp = resampled(2.0 * logits, labels, "cross-entropy", 0.0)
    noise = 0.05 * np.random.default_rng(0).normal(size=logits.shape)
    soft = resampled(logits + noise, labels, "label-smoothing", 0.1)
    rows = {row.score: row for row in paired.differences([soft, sharp])}
    assert set(rows) == set(INTERVALS)
    ece = rows["ece"]
    assert (ece.baseline, ece.other, ece.better) == ("CE", "LS 0.1", "LS 0.1")
    assert ece.difference == pytest.approx(soft.report.ece - sharp.report.ece)
    assert ece.high < 0
    accuracy, own = rows["accuracy"], soft.report.intervals.accuracy
    assert accuracy.high - accuracy.low < 0.5 * (own.high - own.low)
    assert accuracy.better is None
    # after each one's own temperature both are the same model, nearly
    assert rows["nll"].low_calibrated <= 0 <= rows["nll"].high_calibrated


@pytest.mark.parametrize("change", ["seed", "epoch", "labels", "dataset"])
def test_only_the_same_samples_are_paired(change):
    logits, labels = calibrated_model(0, count=100)
    one = resampled(logits, labels, "cross-entropy", 0.0)
    options = {"seed": 1} if change == "seed" else {"epoch": 6} if change == "epoch" else {}
    other = labels[::-1] if change == "labels" else labels
    two = resampled(logits, other, "label-smoothing", 0.1, **options)
    if change == "dataset":
        two = paired.ResampledReport(
            path=None, report=two.report, dataset="other", labels_digest=two.labels_digest,
            before=two.before, after=two.after,
        )  # fmt: skip
    assert paired.differences([one, two]) == []
