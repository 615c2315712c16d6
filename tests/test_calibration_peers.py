"""Where peers' definitions agree with ours they give our numbers; where they do not, by how much.

torchmetrics and scikit-learn come with the extra `test`; netcal is compared where it is installed
(it brings pyro and gpytorch). Where definitions differ: torchmetrics and netcal sum in float32 or
per batch, and put confidence 1.0 into a bin of its own or a value on an edge into the bin above.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import reference
from test_calibration import predictions

from nccli import calibration
from nccli.calibration.predictions import of_arrays
from nccli.calibration.temperature import fit_temperature


def scored(num_bins=15, **options):
    logits, labels = predictions(**options)
    return logits, labels, calibration.score(logits, labels, num_bins=num_bins)


@pytest.mark.parametrize("num_bins", [10, 15])
def test_torchmetrics_agrees_on_ece_and_mce(num_bins):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    logits, labels, found = scored(num_bins, count=3_000)
    p = torch.from_numpy(reference.softmax_rows(logits))
    for norm, name in (("l1", "ece"), ("max", "mce")):
        theirs = metrics.multiclass_calibration_error(
            p, torch.from_numpy(labels), num_classes=5, n_bins=num_bins, norm=norm
        )
        assert getattr(found, name) == pytest.approx(float(theirs), rel=1e-5)


def test_torchmetrics_agrees_on_the_classwise_error():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    logits, labels, found = scored(count=3_000)
    p, target = torch.from_numpy(reference.softmax_rows(logits)), torch.from_numpy(labels)
    theirs = [
        float(metrics.binary_calibration_error(p[:, k].contiguous(), target == k, n_bins=15))
        for k in range(5)
    ]
    assert found.ece_classwise == pytest.approx(np.mean(theirs), rel=1e-5)


def test_torchmetrics_has_a_bin_too_many_where_confidence_is_one():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    sure = np.log(0.95 / 0.05)
    logits = np.array([[sure, 0.0]] * 20 + [[60.0, 0.0]] * 20)
    labels = np.array([0] * 38 + [1, 1])
    p = torch.from_numpy(reference.softmax_rows(logits))
    theirs = metrics.multiclass_calibration_error(
        p, torch.from_numpy(labels), num_classes=2, n_bins=15
    )
    assert float(theirs) == pytest.approx(0.075, abs=1e-6)
    assert calibration.score(logits, labels).ece == pytest.approx(0.025, abs=1e-6)


def test_scikit_learn_agrees_on_log_loss_and_brier():
    metrics = pytest.importorskip("sklearn.metrics")
    logits, labels, found = scored(count=2_000)
    p, classes = reference.softmax_rows(logits), list(range(5))
    assert found.nll == pytest.approx(metrics.log_loss(labels, p, labels=classes), rel=1e-9)
    brier = np.mean(np.sum((p - np.eye(5)[labels]) ** 2, axis=1))
    assert found.brier == pytest.approx(brier, rel=1e-9)


def test_scikit_learn_finds_the_same_temperature():
    module = pytest.importorskip("sklearn.calibration")
    if not hasattr(module, "_TemperatureScaling"):
        pytest.skip("temperature scaling came with scikit-learn 1.8")
    logits, labels, _ = scored(count=2_000, sharpness=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = 1 / float(module._TemperatureScaling().fit(logits, labels).beta_)
    assert fit_temperature(of_arrays(logits, labels)).value == pytest.approx(theirs, rel=1e-4)


def test_netcal_agrees_on_the_ece():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        netcal = pytest.importorskip("netcal.metrics")
        logits, labels, found = scored(count=2_000)
        theirs = netcal.ECE(15).measure(reference.softmax_rows(logits), labels)
    assert found.ece == pytest.approx(float(theirs), rel=1e-6)
