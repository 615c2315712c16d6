"""Neural-collapse metrics of one split of a checkpoint: NC1 to NC4, norms, CDNV.

C classes of the network, K of them present, D features, R directions of the centred class means.

Two passes over the features (`centres`, `second_pass`), block by block and side by side on the
cores there are; then everything is made of small matrices, in float64.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint
from nccli.collapse.centres import Centres, squared_distances
from nccli.collapse.floors import between_noise, floor_notes, rounding_floor
from nccli.collapse.geometry import geometry, simplex_etf
from nccli.collapse.measurement import Measurement, measure
from nccli.collapse.spans import Threads, Workers
from nccli.collapse_report import CollapseReport
from nccli.logits import Floats
from nccli.text import plural, shortlist

__all__ = ["CollapseReport", "analyze", "report", "simplex_etf"]


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    known: dict[str, Centres] | None = None,
    threads: int | None = None,
    workers: Workers | None = None,
    every_logit: bool = True,
) -> CollapseReport:
    """Return the neural-collapse metrics of one split.

    known: class centres by split that were computed before; those computed here are added.
    threads: how many cores to use, None for all; the result does not depend on it.
    workers: who does the work instead, such as a cluster.
    every_logit: False leaves out loss and non-target spread, the two that need all N x K logits.

    Raises ContentError where fewer than two classes have samples: collapse is about classes
    moving apart, and with one there is nothing to measure.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> checkpoint = nccli.read_checkpoint(run / "checkpoints" / "epoch-00200.h5")
    >>> report = nccli.collapse.analyze(checkpoint, split="train")
    >>> f"NC1 {report.nc1:.1e}, NC3 {report.nc3:.3f}"
    'NC1 9.9e-04, NC3 0.042'
    """
    found = measure(
        checkpoint,
        split,
        known=known,
        workers=workers or Threads(checkpoint, threads),
        every_logit=every_logit,
    )
    return report(checkpoint, found, split=split, path=path)


def report(
    checkpoint: Checkpoint, found: Measurement, *, split: str, path: str | None
) -> CollapseReport:
    """Return the metrics that the sums over a split amount to."""
    own = found.own
    notes = _class_notes(split, own, checkpoint.num_classes)
    meta = checkpoint.metadata
    nc1 = _nc1(found, notes)
    floor = rounding_floor(found, checkpoint.split(split).features.dtype)
    noise = between_noise(found)
    values = {
        "nc1_train_means": _nc1_around_train(found, notes),
        "cdnv": _cdnv(found, notes),
        **geometry(checkpoint, own, notes),
        **_predictions(checkpoint, found, split, notes),
    }
    values |= {"nc1": nc1, "feature_norm": float(found.sums.norms[0]) / found.count}
    values |= {"nc1_floor": floor, "between_noise": noise}
    notes += floor_notes(nc1, floor, noise)
    values = _within_range(values, notes)
    return CollapseReport(
        path=path,
        split=split,
        epoch=meta.epoch,
        loss_name=meta.loss,
        label_smoothing=meta.label_smoothing,
        seed=meta.seed,
        n=found.count,
        num_classes=checkpoint.num_classes,
        dim=checkpoint.dim,
        **values,
        rank=own.basis_DR.shape[1],
        rank_cut=own.cut,
        rank_gap=own.smallest / own.cut if own.smallest is not None and own.cut > 0 else None,
        num_present=len(own.present),
        num_present_train=None if found.train is None else len(found.train.present),
        notes=tuple(notes),
    )


def _within_range(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    lost = [name for name, value in values.items() if value is not None and not isfinite(value)]
    if lost:
        notes.append(f"beyond the range of float64, and so undefined: {', '.join(lost)}")
    return values | dict.fromkeys(lost)


def _class_notes(split: str, own: Centres, num_classes: int) -> list[str]:
    notes = []
    absent = sorted(set(range(num_classes)) - set(own.present.tolist()))
    if absent:
        notes.append(
            f"no samples of class {shortlist(absent)} in {split}: what needs class means is over "
            f"the {len(own.present)} classes present of {num_classes}"
        )
    single = np.flatnonzero(own.counts_C == 1).tolist()
    if single:
        notes.append(f"one sample only of class {shortlist(single)} in {split}: its variance is 0")
    return notes


# --- within-class variability -------------------------------------------------------------------


def _nc1(found: Measurement, notes: list[str]) -> float | None:
    if not len(found.own.variances_R):
        notes.append("nc1 is undefined: all class means coincide (Sigma_B = 0)")
        return None
    return float(found.scatter_C.sum()) / found.count / len(found.own.present)


def _nc1_around_train(found: Measurement, notes: list[str]) -> float | None:
    if found.train is None:
        notes.append("nc1_train_means and nc4 need the train split: not there, or of one class")
        return None
    if found.train is found.own:
        return _nc1(found, [])
    if np.any(found.train.counts_C[found.own.present] == 0):
        notes.append("nc1_train_means is undefined: the train split lacks a class of this one")
        return None
    if not len(found.train.variances_R) or found.train_scatter_C is None:
        notes.append("nc1_train_means is undefined: all class means of the train split coincide")
        return None
    return float(found.train_scatter_C.sum()) / found.count / len(found.train.present)


def _cdnv(found: Measurement, notes: list[str]) -> float | None:
    own = found.own
    distances_KK = squared_distances(own.centred_KD)
    np.fill_diagonal(distances_KK, np.inf)  # a pair is two classes
    if distances_KK.min() <= own.cut**2:
        notes.append("cdnv is undefined: the means of two classes coincide")
        return None
    variances_K = class_variances(found)[own.present]
    # the sum over ordered pairs of (v_c + v_c') / (2 D) is that of v_c / D
    total = float(variances_K @ np.reciprocal(distances_KK).sum(axis=1))
    return total / (len(variances_K) * (len(variances_K) - 1))


def class_variances(found: Measurement) -> Floats:
    """Mean squared distance to the class mean (C,); 0 where a class has no samples."""
    return found.squares_C / np.maximum(found.own.counts_C, 1)


# --- what the network predicts ------------------------------------------------------------------


def _predictions(
    checkpoint: Checkpoint, found: Measurement, split: str, notes: list[str]
) -> dict[str, Any]:
    if not found.predicted:
        notes.append(
            f"neither a classifier nor {split}/logits in the file: accuracy, loss, nc4 and "
            "nontarget_logit_spread are undefined"
        )
        return {}
    sums, count = found.sums, found.count
    values: dict[str, float | None] = {
        "accuracy": float(sums.correct_C.sum()) / count,
        "nc4": None if found.train is None else float(sums.astray_C.sum()) / count,
    }
    if not found.scored:
        return values
    if checkpoint.metadata.label_smoothing is None:
        notes.append("label_smoothing is not recorded: loss is the plain cross-entropy (delta 0)")
    loss, spread, defined = sums.scores
    if defined < count:
        equal = plural(round(count - defined), "sample")
        notes.append(f"nontarget_logit_spread leaves out {equal} with all logits equal")
    return values | {
        "loss": float(loss) / count,
        "nontarget_logit_spread": float(spread / defined) if defined else None,
    }
