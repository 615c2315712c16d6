"""Temperature and other recalibrations: the optimum against scipy, and no leakage."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from scipy.optimize import brentq, minimize_scalar
from scipy.special import softmax
from test_calibration import predictions

from nccli import calibration
from nccli.calibration.maps import fit_isotonic, fit_vector
from nccli.calibration.predictions import of_arrays
from nccli.calibration.temperature import cross_fit, fit_temperature, stratified_folds
from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError, NotFoundError, UsageError


def fitted(logits, labels):
    return fit_temperature(of_arrays(logits, labels))


def optimum(logits, labels):
    """1/b where the derivative of the NLL in b vanishes."""
    rows = np.arange(len(labels))

    def slope(b):
        return np.mean((softmax(b * logits, axis=1) * logits).sum(axis=1) - logits[rows, labels])

    return 1 / brentq(slope, 1e-4, 1e4, xtol=1e-14)


@pytest.mark.parametrize("num_classes", [2, 5, 60])
@pytest.mark.parametrize("sharpness", [0.05, 0.5, 1.0, 5.0, 50.0])
def test_the_temperature_is_the_optimum(num_classes, sharpness):
    logits, labels = predictions(3, sharpness=sharpness, num_classes=num_classes)
    assert fitted(logits, labels).value == pytest.approx(optimum(logits, labels), rel=1e-9)


def test_the_temperature_minimises_the_loss_that_scipy_minimises():
    logits, labels = predictions(3, sharpness=5.0)

    def nll(log_t):
        p = reference.softmax_rows(logits / np.exp(log_t))
        return -np.log(p[np.arange(len(labels)), labels]).mean()

    best = minimize_scalar(nll, bounds=(-6, 7), method="bounded", options={"xatol": 1e-10})
    assert np.log(fitted(logits, labels).value) == pytest.approx(best.x, abs=1e-5)


@pytest.mark.parametrize("truth", [0.3, 0.5, 0.6, 1.0, 3.4, 5.0, 20.0])
@pytest.mark.parametrize("smoothed", [False, True])
def test_the_true_temperature_comes_back_where_lbfgs_on_t_fails(truth, smoothed):
    """At 0.5 a published script returns -10 to -84 on smoothed logits, at 5 it stops at 3.36."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 10)) * (0.5 if smoothed else 1.5)
    logits[np.arange(20_000), rng.integers(0, 10, 20_000)] += 4.0
    cumulative = np.cumsum(softmax(logits, axis=1), axis=1)
    labels = (rng.random((20_000, 1)) > cumulative).sum(axis=1).clip(0, 9)
    for dtype in (np.float64, np.float32):  # another's never moves on float32
        found = fitted((truth * logits).astype(dtype), labels)
        assert found.value == pytest.approx(truth, rel=0.05)
        assert abs(found.value - truth) < 4 * found.standard_error


def test_single_precision_gives_the_same_temperature():
    logits, labels = predictions(2, num_classes=100, count=3_000)
    one, two = fitted(logits, labels), fitted(logits.astype(np.float32), labels)
    assert two.value == pytest.approx(one.value, rel=1e-6)
    assert two.standard_error == pytest.approx(one.standard_error, rel=1e-5)


def test_the_standard_error_of_the_temperature_is_its_spread_over_samples():
    found = [fitted(*predictions(seed, count=600)) for seed in range(60)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.3)


@pytest.mark.parametrize("scale", [1e-300, 1e-80, 1e-3, 7.0, 1e80, 1e139])
def test_the_temperature_scales_with_the_logits_however_far(scale):
    logits, labels = predictions(1)
    expected, found = fitted(logits, labels), fitted(logits * scale, labels)
    assert found.value / scale == pytest.approx(expected.value, rel=1e-9)
    assert found.standard_error / scale == pytest.approx(expected.standard_error, rel=1e-5)


def test_the_answer_does_not_depend_on_blocks_or_order(monkeypatch):
    logits, labels = predictions(1, count=5_000)
    whole = fitted(logits, labels).value
    monkeypatch.setattr("nccli.calibration.predictions.BLOCK_BYTES", 4_000)
    order = np.random.default_rng(0).permutation(len(labels))
    assert fitted(logits[order], labels[order]).value == pytest.approx(whole, rel=1e-13)


def test_all_right_and_no_signal_are_not_identified():
    labels = np.arange(20) % 4
    right = fitted(5 * np.eye(4)[labels], labels)
    wrong = fitted(5 * np.eye(4)[(labels + 1) % 4], labels)
    assert right.value is None
    assert "every sample is right" in right.status
    assert wrong.value is None
    assert "favour no logit" in wrong.status


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_predictor_on_balanced_labels_has_no_temperature(dtype):
    labels = np.arange(1000) % 10
    for seed in range(20):
        logits = np.tile(np.random.default_rng(seed).normal(size=10), (1000, 1)).astype(dtype)
        assert fitted(logits, labels).value is None


def test_equal_logits_have_no_temperature():
    assert fitted(np.ones((30, 3)), np.arange(30) % 3).value is None


def test_a_temperature_beyond_the_largest_number_is_said_to_be():
    logits, labels = predictions(1)
    found = fitted(logits * 1e-306, labels)
    assert found.value is None
    assert "ran to the largest or smallest number" in found.status


# --- cross-fitting --------------------------------------------------------------------------------


def test_folds_spread_every_class_evenly():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    folds = stratified_folds(labels)
    for c in range(7):
        counts = np.bincount(folds[labels == c], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_each_fold_gets_the_temperature_of_the_others():
    logits, labels = predictions(2)
    folds = stratified_folds(labels)
    found = cross_fit(of_arrays(logits, labels), folds, folds=5)
    assert found.whole.value == pytest.approx(optimum(logits, labels), rel=1e-9)
    for k, other in enumerate(found.others):
        expected = optimum(logits[folds != k], labels[folds != k])
        assert other.value == pytest.approx(expected, rel=1e-9)


def test_no_sample_has_a_part_in_its_own_temperature():
    logits, labels = predictions(2)
    folds = stratified_folds(labels)
    changed = logits.copy()
    inside = folds == 3
    changed[inside] = changed[inside][:, ::-1] * 3  # a fold's own samples change ...
    one, two = (
        [other.value for other in cross_fit(of_arrays(z, labels), folds, folds=5).others]
        for z in (logits, changed)
    )
    assert one[3] == two[3]  # ... its temperature does not, to the last bit
    assert all(one[k] != two[k] for k in (0, 1, 2, 4))


def test_calibrated_scores_are_those_of_the_scaled_logits():
    logits, labels = predictions(4, sharpness=6.0, count=1000)
    report = calibration.analyze(Checkpoint.from_arrays({"test": (logits, labels, logits)}))
    folds = stratified_folds(labels)
    scaled = logits / np.array(report.fold_temperatures)[folds][:, None]
    expected = calibration.score(scaled, labels)
    for name in calibration.Scores.__dataclass_fields__:
        if name != "bins":
            value = getattr(report.calibrated, name)
            assert value == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert report.temperature > 2
    assert report.calibrated.ece < report.ece / 3
    assert report.calibrated.nll < report.nll
    assert report.calibrated.accuracy == report.accuracy
    assert report.recalibration == "temperature, cross-fitted"


# --- other protocols ------------------------------------------------------------------------------


def both_splits():
    one, two = predictions(1, sharpness=4.0), predictions(2, sharpness=4.0)
    return Checkpoint.from_arrays(
        {"test": (one[0], one[1], one[0]), "val": (two[0], two[1], two[0])}
    )


def test_a_temperature_fitted_on_another_split_is_that_splits():
    point = both_splits()
    report = calibration.analyze(point, fit="val", resamples=0)
    fit_on = predictions(2, sharpness=4.0)
    expected = fitted(*fit_on).value
    logits, labels = predictions(1, sharpness=4.0)
    assert report.calibrated.nll == pytest.approx(
        calibration.score(logits / expected, labels).nll, rel=1e-10
    )
    assert report.protocol == "split"
    assert report.recalibration == f"temperature, fitted on val, T = {expected:.4g}"
    assert report.temperature != pytest.approx(expected, rel=1e-3)  # the scored split's own


def test_a_split_that_decides_no_temperature_is_named():
    logits, labels = predictions(1)
    sure = 9.0 * np.eye(5)[labels]
    point = Checkpoint.from_arrays(
        {"test": (logits, labels, logits), "train": (sure, labels, sure)}
    )
    report = calibration.analyze(point, fit="train", resamples=0)
    assert report.calibrated is None
    assert any("temperature on train not identified: every" in note for note in report.notes)


def test_the_papers_protocol_fits_on_the_scored_split_and_says_so():
    report = calibration.analyze(both_splits(), protocol="paper", resamples=0)
    logits, labels = predictions(1, sharpness=4.0)
    scaled = logits / report.temperature
    assert len(report.bins) == 20
    assert report.calibrated.ece == pytest.approx(
        calibration.score(scaled, labels, num_bins=20).ece, rel=1e-9
    )
    assert report.protocol == "paper"
    assert "the scored split itself" in report.recalibration


def test_fitting_on_the_scored_split_is_refused_unless_it_is_called_so():
    with pytest.raises(ContentError, match="say --protocol paper"):
        calibration.analyze(both_splits(), fit="test")


def test_more_folds_than_a_small_integer_holds():
    logits, labels = predictions(2, count=300)
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    report = calibration.analyze(point, folds=150, resamples=0)
    assert len(report.fold_temperatures) == 150
    assert report.calibrated.nll < report.nll


def test_masked_logits_keep_their_temperature():
    logits, labels = predictions(2, count=500, num_classes=6, sharpness=3.0)
    logits = logits.astype(np.float32)
    inside = labels < 4
    expected = fitted(logits[inside][:, :4], labels[inside])
    masked = logits[inside].copy()
    masked[:, 4:] = np.finfo(np.float32).min
    found = fitted(masked, labels[inside])
    assert found.value == pytest.approx(expected.value, rel=1e-5)


def test_scaling_changes_no_prediction():
    logits, labels = predictions(2, count=400, sharpness=1e-8)
    logits = logits.astype(np.float32)
    logits[::2] *= np.float32(1e38)
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    report = calibration.analyze(point, resamples=0)
    assert report.calibrated.accuracy == report.accuracy


def test_an_unknown_split_to_fit_on_is_named():
    with pytest.raises((ContentError, NotFoundError, UsageError), match="dev"):
        calibration.analyze(both_splits(), fit="dev")


def test_vector_scaling_finds_the_factors_and_offsets_that_were_put_in():
    rng = np.random.default_rng(0)
    truth = 1.5 * rng.normal(size=(40_000, 3))
    p = softmax(truth, axis=1)
    labels = (rng.random((40_000, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(0, 2)
    factors, offsets = np.array([2.0, 0.5, 1.0]), np.array([1.0, -1.0, 0.3])
    apply, converged = fit_vector(truth * factors + offsets, labels)
    found = softmax(apply(truth * factors + offsets), axis=1)
    assert converged
    assert np.abs(found - p).max() < 0.03


def test_isotonic_regression_is_scikit_learns():
    sklearn = pytest.importorskip("sklearn.isotonic")
    logits, labels = predictions(3, count=500)
    apply, _ = fit_isotonic(logits, labels)
    p = reference.softmax_rows(logits)
    columns = []
    for k in range(5):
        model = sklearn.IsotonicRegression(out_of_bounds="clip", y_min=1e-9)
        columns.append(model.fit(p[:, k], labels == k).predict(p[:, k]))
    expected = np.stack(columns, axis=1)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(apply(logits)), expected, atol=1e-6)


@pytest.mark.parametrize("method", ["vector", "isotonic"])
def test_other_methods_are_cross_fitted_too(method):
    logits, labels = predictions(2, sharpness=5.0, count=2_000)
    logits[:, 0] += 3.0  # a class that is favoured: no temperature repairs that
    point = Checkpoint.from_arrays({"test": (logits, labels, logits)})
    report = calibration.analyze(point, method=method, resamples=0)
    by_temperature = calibration.analyze(point, resamples=0)
    assert report.calibrated.ece_classwise < by_temperature.calibrated.ece_classwise
    assert report.recalibration == f"{method}, cross-fitted"
    folds = stratified_folds(labels)
    fit = {"vector": fit_vector, "isotonic": fit_isotonic}[method]
    mapped = np.empty_like(logits)
    for k in range(5):
        apply, _ = fit(logits[folds != k], labels[folds != k])
        mapped[folds == k] = apply(logits[folds == k])
    assert report.calibrated.nll == pytest.approx(calibration.score(mapped, labels).nll, rel=1e-9)


def test_too_many_logits_to_keep_are_refused_by_name(monkeypatch):
    monkeypatch.setattr("nccli.calibration.maps.LARGEST", 100)
    with pytest.raises(ContentError, match="use --recalibrate temperature"):
        calibration.analyze(both_splits(), method="vector", resamples=0)
