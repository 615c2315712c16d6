"""Who runs each task, and how: functions of logits and labels that return numbers.

Peers are imported when they are asked for; who is not installed is left out, by name.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from data import Data

from nccli.calibration.bins import ranked
from nccli.calibration.predictions import Predictions, of_arrays
from nccli.calibration.scores import bin_sums
from nccli.calibration.statistics import collect
from nccli.calibration.temperature import fit_temperature

BINS = 15
Numbers = list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do a task; `needs` are the modules that must be there."""

    task: str
    name: str
    run: Callable[[Data], Numbers]
    needs: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether what it needs is installed."""
        return all(importlib.util.find_spec(name) is not None for name in self.needs)


def _predictions(data: Data) -> Predictions:
    return replace(of_arrays(data.logits_NK, data.labels_N), threads=1)


# --- nccli ----------------------------------------------------------------------------------------


def nccli_four(data: Data) -> Numbers:
    """Mean confidence, ECE, NLL and Brier score."""
    found = collect(_predictions(data), num_bins=BINS, classwise=False, by_top=False)
    sums = bin_sums(ranked(found.odds_N), BINS)
    count = len(data.labels_N)
    confidence = float(sums.confidences_B.sum()) / count
    return [confidence, sums.error, found.nll / count, found.brier / count]


def nccli_classwise(data: Data) -> Numbers:
    """Classwise ECE (and all of the four on the way)."""
    cells = collect(_predictions(data), num_bins=BINS, by_top=False).cells
    assert cells is not None
    return [float(np.abs(cells.gaps_KB).sum()) / data.logits_NK.size]


def nccli_temperature(data: Data) -> Numbers:
    """The optimal temperature, with its standard error."""
    found = fit_temperature(_predictions(data))
    assert found.value is not None
    return [found.value]


def exponentials(data: Data) -> Numbers:
    """The floor: one exponential of each logit in float32, by blocks."""
    step = max(1, 2**18 // data.logits_NK.shape[1])
    room = np.empty((step, data.logits_NK.shape[1]), np.float32)
    for start in range(0, len(data.logits_NK), step):
        block = data.logits_NK[start : start + step]
        np.exp(block, out=room[: len(block)])
    return []


# --- torch, torchmetrics --------------------------------------------------------------------------


def torch_four(data: Data) -> Numbers:
    """torchmetrics' ECE, torch's cross-entropy, the rest from one softmax."""
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    torch.set_num_threads(1)
    logits, labels = torch.from_numpy(data.logits_NK), torch.from_numpy(data.labels_N)
    probabilities = logits.softmax(dim=1)
    error = multiclass_calibration_error(probabilities, labels, logits.shape[1], n_bins=BINS)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    confidence = probabilities.max(dim=1).values.mean()
    squares = probabilities.square().sum(dim=1)
    own = probabilities.gather(1, labels[:, None])[:, 0]
    brier = (squares - 2 * own + 1).mean()
    return [float(confidence), float(error), float(loss), float(brier)]


def torch_classwise(data: Data) -> Numbers:
    """torchmetrics' binary error of each class."""
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    torch.set_num_threads(1)
    probabilities = torch.from_numpy(data.logits_NK).softmax(dim=1)
    labels = torch.from_numpy(data.labels_N)
    errors = [
        binary_calibration_error(probabilities[:, k], (labels == k).long(), n_bins=BINS)
        for k in range(probabilities.shape[1])
    ]
    return [float(torch.stack(errors).mean())]


# --- netcal, uncertainty-calibration, scikit-learn ------------------------------------------------


def _softmax(data: Data) -> np.ndarray:
    p_NK = np.exp(data.logits_NK - data.logits_NK.max(axis=1, keepdims=True))
    return p_NK / p_NK.sum(axis=1, keepdims=True)


def mixed_four(data: Data) -> Numbers:
    """netcal's ECE, uncertainty-calibration's error, scikit-learn's log loss and Brier score."""
    import calibration
    from netcal.metrics import ECE
    from sklearn.metrics import brier_score_loss, log_loss

    p_NK = _softmax(data)
    classes = list(range(p_NK.shape[1]))
    error = ECE(BINS).measure(p_NK, data.labels_N)
    calibration.get_calibration_error(p_NK, data.labels_N)
    loss = log_loss(data.labels_N, p_NK, labels=classes)
    brier = brier_score_loss(data.labels_N, p_NK, labels=classes, scale_by_half=False)
    return [float(p_NK.max(axis=1).mean()), float(error), float(loss), float(brier)]


def uncertainty_classwise(data: Data) -> Numbers:
    """uncertainty-calibration's marginal error (L2: another number)."""
    import calibration

    p_NK = _softmax(data)
    return [float(calibration.get_calibration_error(p_NK, data.labels_N, mode="marginal"))]


def sklearn_temperature(data: Data) -> Numbers:
    """scikit-learn's temperature scaling, float32."""
    from sklearn.calibration import _TemperatureScaling

    model = _TemperatureScaling().fit(data.logits_NK, data.labels_N)
    return [1.0 / float(model.beta_)]


CONTENDERS = (
    Contender(task="four metrics", name="nccli", run=nccli_four),
    Contender(
        task="four metrics", name="torch + torchmetrics", run=torch_four,
        needs=("torch", "torchmetrics"),
    ),
    Contender(
        task="four metrics", name="netcal + uncertainty-calibration + scikit-learn",
        run=mixed_four, needs=("netcal", "calibration", "sklearn"),
    ),
    Contender(task="classwise ECE", name="nccli", run=nccli_classwise),
    Contender(
        task="classwise ECE", name="torchmetrics", run=torch_classwise,
        needs=("torch", "torchmetrics"),
    ),
    Contender(
        task="classwise ECE", name="uncertainty-calibration", run=uncertainty_classwise,
        needs=("calibration", "sklearn"),
    ),
    Contender(task="temperature", name="nccli", run=nccli_temperature),
    Contender(task="temperature", name="scikit-learn", run=sklearn_temperature, needs=("sklearn",)),
    Contender(task="one pass", name="exp, float32", run=exponentials),
)  # fmt: skip
