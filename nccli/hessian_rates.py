"""Measured decay of NC1 from epoch to epoch, beside the linear rates that conditioning predicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nccli.hessian_report import HessianReport
from nccli.result import quantity
from nccli.runs import run_folder, run_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DecayReport:
    """One stretch of a run between two saved epochs."""

    path: str | None = quantity("run", "the run directory")
    split: str = quantity("split", "split that was measured", default="train")
    loss_name: str | None = quantity("trained with", "cross-entropy or label-smoothing")
    label_smoothing: float | None = quantity("delta", "label smoothing of the training loss")
    seed: int | None = quantity("seed", "random seed of the run")
    epoch_from: int = quantity("from", "epoch it begins at", default=0)
    epoch_to: int = quantity("to", "epoch it ends at", default=0)
    nc1_from: float | None = quantity("NC1 from", "NC1 at its beginning")
    nc1_to: float | None = quantity("NC1 to", "NC1 at its end")
    nc1_decay: float | None = quantity(
        "NC1 decay",
        "(nc1_to / nc1_from)^(1 / epochs): the factor of an epoch; below 1 it collapses",
        source="nccli",
        better="lower",
    )
    rate_means_w: float | None = quantity(
        "1 - 1/kappa means", "predicted factor of a step of gradient descent, at epoch_to"
    )
    rate_regularised_w: float | None = quantity(
        "1 - 1/kappa regul.", "the same for the penalised W block, at epoch_to"
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined or special", default=())


def decays(results: Sequence[HessianReport]) -> list[DecayReport]:
    """Return the stretches between the saved epochs of each run, in order."""
    runs: dict[tuple[object, ...], list[HessianReport]] = {}
    for result in results:  # in whatever order: splits and loose files take turns
        runs.setdefault((result.split, run_of(result)), []).append(result)
    return [
        _decay(one, other)
        for members in runs.values()
        for one, other in pairwise(_by_epoch(members))
    ]


def _by_epoch(results: Sequence[HessianReport]) -> Iterator[HessianReport]:
    dated = {result.epoch: result for result in results if result.epoch is not None}
    return (dated[epoch] for epoch in sorted(dated))


def _decay(one: HessianReport, other: HessianReport) -> DecayReport:
    assert one.epoch is not None
    assert other.epoch is not None
    decay, notes = None, []
    if one.nc1 and other.nc1:
        decay = (other.nc1 / one.nc1) ** (1 / (other.epoch - one.epoch))
    else:
        notes.append("nc1_decay is undefined: NC1 is undefined or zero at one of its ends")
    return DecayReport(
        path=run_folder(other.path),
        split=other.split,
        loss_name=other.loss_name,
        label_smoothing=other.label_smoothing,
        seed=other.seed,
        epoch_from=one.epoch,
        epoch_to=other.epoch,
        nc1_from=one.nc1,
        nc1_to=other.nc1,
        nc1_decay=decay,
        rate_means_w=other.rate_means_w,
        rate_regularised_w=other.rate_regularised_w,
        notes=tuple(notes),
    )
