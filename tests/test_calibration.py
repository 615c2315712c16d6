"""Calibration scores against literal references; temperature against scipy; no leakage."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from scipy.optimize import minimize_scalar

from nccli import calibration
from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError, UsageError
from nccli.temperature import cross_fit, fit_temperature, stratified_folds


def predictions(seed=0, *, count=400, num_classes=5, sharpness=2.0, signal=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, count)
    logits = rng.normal(size=(count, num_classes))
    logits[np.arange(count), labels] += signal
    return sharpness * logits, labels


@pytest.mark.parametrize("num_bins", [1, 10, 15, 20])
@pytest.mark.parametrize("sharpness", [0.5, 2.0, 30.0])
def test_scores_agree_with_their_literal_definitions(num_bins, sharpness):
    logits, labels = predictions(sharpness=sharpness)
    found = calibration.score(logits, labels, num_bins=num_bins)
    p = reference.softmax_rows(logits)
    confidence, right = p.max(axis=1), (p.argmax(axis=1) == labels).astype(float)
    own = p[np.arange(len(labels)), labels]
    onehot = np.eye(5)[labels]
    expected = {
        "accuracy": right.mean(),
        "confidence": confidence.mean(),
        "nll": -np.log(own).mean(),
        "brier": np.mean(np.sum((p - onehot) ** 2, axis=1)),
        "ece": reference.ece(confidence, right, num_bins),
        "mce": reference.mce(confidence, right, num_bins),
        "ece_classwise": reference.classwise_ece(p, labels, num_bins),
        "overconfidence": confidence.mean() - right.mean(),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-10, abs=1e-13), name


def test_bins_are_right_closed_and_one_needs_no_bin_of_its_own():
    edges = np.array([0.0, 1e-9, 0.2, np.nextafter(0.2, 1), 0.4, 1.0])
    assert calibration.equal_width_bins(edges, 5).tolist() == [0, 0, 0, 1, 1, 4]
    fifteenths = np.arange(1, 16) / 15
    assert calibration.equal_width_bins(fifteenths, 15).tolist() == list(range(15))


def test_equal_mass_bins_hold_equal_counts_and_keep_ties_together():
    values = np.random.default_rng(0).random(150)
    assert np.bincount(calibration.equal_mass_bins(values, 15)).tolist() == [10] * 15
    tied = np.array([0.1, 0.5, 0.5, 0.5, 0.5, 0.9])
    bins = calibration.equal_mass_bins(tied, 3)
    assert len(set(bins[1:5])) == 1
    order = np.array([4, 5, 0, 2, 3, 1])
    assert calibration.equal_mass_bins(tied[order], 3).tolist() == bins[order].tolist()


def test_equal_mass_ece_is_that_of_sorted_chunks_where_nothing_is_tied():
    logits, labels = predictions(5, count=300)
    p = reference.softmax_rows(logits)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    order = np.argsort(confidence)
    gaps = [abs(np.sum(confidence[part] - right[part])) for part in np.split(order, 15)]
    found = calibration.score(logits, labels, num_bins=15)
    assert found.ece_equal_mass == pytest.approx(sum(gaps) / 300, rel=1e-10)


def test_the_bins_of_the_report_hold_every_sample_and_say_empty_as_none():
    logits, labels = predictions()
    found = calibration.score(logits, labels)
    assert sum(one.count for one in found.bins) == len(labels)
    empty = [one for one in found.bins if one.count == 0]
    assert empty
    assert all(one.accuracy is None and one.confidence is None for one in empty)
    gaps = [one.count * abs(one.accuracy - one.confidence) for one in found.bins if one.count]
    assert sum(gaps) / len(labels) == pytest.approx(found.ece, rel=1e-12)


def test_scores_do_not_see_class_names_or_a_shift_of_the_logits():
    logits, labels = predictions()
    names = np.random.default_rng(1).permutation(5)
    renamed = np.empty_like(logits)
    renamed[:, names] = logits
    shifted = renamed + np.random.default_rng(2).normal(size=(len(labels), 1))
    one, two = calibration.score(logits, labels), calibration.score(shifted, names[labels])
    for name in ("accuracy", "nll", "brier", "ece", "ece_classwise", "mce", "ece_noise_floor"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-9), name


def test_a_perfectly_calibrated_model_stays_near_its_noise_floor():
    floors, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits = 2 * rng.normal(size=(1000, 4))
        p = reference.softmax_rows(logits)
        labels = np.array([rng.choice(4, p=row) for row in p])
        found = calibration.score(logits, labels)
        floors.append(found.ece_noise_floor)
        errors.append(found.ece)
    assert np.mean(errors) == pytest.approx(np.mean(floors), rel=0.1)


@pytest.mark.parametrize("sharpness", [0.05, 0.5, 1.0, 5.0, 50.0])
def test_the_temperature_is_the_minimum_that_scipy_finds(sharpness):
    logits, labels = predictions(3, sharpness=sharpness)

    def nll(log_t):
        p = reference.softmax_rows(logits / np.exp(log_t))
        return -np.log(p[np.arange(len(labels)), labels]).mean()

    found = fit_temperature(logits, labels)
    best = minimize_scalar(nll, bounds=(-6, 7), method="bounded", options={"xatol": 1e-10})
    assert np.log(found.value) == pytest.approx(best.x, abs=1e-5)
    assert nll(np.log(found.value)) <= best.fun + 1e-13


def test_the_standard_error_of_the_temperature_is_its_spread_over_samples():
    values, errors = [], []
    for seed in range(60):
        found = fit_temperature(*predictions(seed, count=600))
        values.append(found.value)
        errors.append(found.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)


def test_a_scaled_network_gets_its_temperature_back():
    logits, labels = predictions(1)
    base = fit_temperature(logits, labels).value
    assert fit_temperature(7 * logits, labels).value == pytest.approx(7 * base, rel=1e-10)


def test_all_right_and_no_signal_are_not_identified():
    labels = np.arange(20) % 4
    right = fit_temperature(5 * np.eye(4)[labels], labels)
    wrong = fit_temperature(5 * np.eye(4)[(labels + 1) % 4], labels)
    assert right.value is None
    assert "every sample is right" in right.status
    assert wrong.value is None
    assert "favour no logit" in wrong.status


def test_a_constant_predictor_on_balanced_labels_has_no_temperature():
    labels = np.arange(1000) % 10
    for seed in range(50):
        logits = np.tile(np.random.default_rng(seed).normal(size=10), (1000, 1))
        assert fit_temperature(logits, labels).value is None


@pytest.mark.parametrize("scale", [1e-300, 1e-80, 1e-3, 1e80, 1e139])
def test_the_temperature_scales_with_the_logits_however_far(scale):
    logits, labels = predictions(1)
    expected = fit_temperature(logits, labels)
    found = fit_temperature(logits * scale, labels)
    assert found.value / scale == pytest.approx(expected.value, rel=1e-9)
    assert found.standard_error / scale == pytest.approx(expected.standard_error, rel=1e-6)


def test_folds_spread_every_class_evenly():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    folds = stratified_folds(labels)
    for c in range(7):
        counts = np.bincount(folds[labels == c], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_no_sample_is_scored_with_a_temperature_that_it_chose():
    logits, labels = predictions(2)
    folds = stratified_folds(labels)
    changed = logits.copy()
    inside = folds == 3
    changed[inside] = changed[inside][:, ::-1] * 3  # a fold's own samples change ...
    one, two = cross_fit(logits, labels), cross_fit(changed, labels)
    assert one.temperatures[3] == two.temperatures[3]  # ... its temperature does not
    assert all(one.temperatures[k] != two.temperatures[k] for k in (0, 1, 2, 4))
    for k in range(5):
        expected = (
            logits[folds == k] / fit_temperature(logits[folds != k], labels[folds != k]).value
        )
        np.testing.assert_array_equal(one.logits_NK[folds == k], expected)


def test_temperature_scaling_repairs_an_overconfident_network():
    logits, labels = predictions(4, sharpness=6.0, count=1000)
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    report = calibration.analyze(point)
    assert report.temperature > 2
    assert report.calibrated.ece < report.ece / 3
    assert report.calibrated.nll < report.nll
    assert report.calibrated.accuracy == report.accuracy


def test_an_all_right_split_has_no_calibrated_scores_and_says_why():
    labels = np.arange(40) % 4
    logits = 5 * np.eye(4)[labels]
    report = calibration.analyze(Checkpoint.from_arrays({"test": (logits, labels, logits)}))
    assert report.calibrated is None
    assert report.temperature is None
    assert any("not identified" in note for note in report.notes)
    assert report.ece == pytest.approx(1 - report.confidence)


def test_saturated_confidence_keeps_its_noise_floor():
    logits = np.zeros((10, 3))
    logits[:, 0] = 45.0
    found = calibration.score(logits, np.zeros(10, int))
    assert found.confidence == 1.0
    doubt = 2 * np.exp(-45.0)
    assert found.ece_noise_floor == pytest.approx(np.sqrt(2 / np.pi) * np.sqrt(10 * doubt) / 10)


def test_a_file_with_neither_logits_nor_classifier_is_refused():
    point = Checkpoint.from_arrays({"test": (np.ones((4, 2)), np.array([0, 1, 0, 1]))})
    with pytest.raises(ContentError, match="neither a classifier nor test/logits"):
        calibration.analyze(point)


def test_too_few_folds_are_refused():
    logits, labels = predictions()
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    with pytest.raises(UsageError, match="at least 1 bin and 2 folds"):
        calibration.analyze(point, folds=1)
