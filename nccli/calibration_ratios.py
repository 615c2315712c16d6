"""What goes with a run's calibration: ratios of temperatures and norms, and rank correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr

from nccli.calibration.relations import RelationReport
from nccli.runs import run_of
from nccli.text import group_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Cross-entropy over label smoothing at one epoch of one seed."""

    epoch: int | None
    seed: int | None
    other: str
    norms: float | None  # of norm(w) norm(h)
    logits: float  # of the logits' sizes
    temperatures: float

    @property
    def explained(self) -> float | None:
        """log of the temperatures' ratio over log of the logits'; None where these are equal."""
        logits = math.log(self.logits)
        return math.log(self.temperatures) / logits if abs(logits) > SAME else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """How a run's ECE goes with another number over its epochs."""

    name: str
    rho: float  # Spearman's


SAME = 0.05  # logarithm of a ratio below which sizes do not differ
FEWEST_EPOCHS = 4
RELATED = ("nc1", "weight_norm", "feature_norm", "logit_size", "temperature")


def ratios(results: Sequence[RelationReport]) -> list[Ratio]:
    """Cross-entropy over each smoothing, at the last epoch that both have, seed by seed.

    Of the same data set and split; where two cross-entropy runs would do, neither does.
    """
    baselines: dict[tuple[object, ...], list[RelationReport]] = {}
    for one in results:
        if _group(one) == "CE":
            baselines.setdefault(_key(one), []).append(one)
    last: dict[tuple[object, ...], RelationReport] = {}
    for one in results:
        if _group(one) != "CE" and one.loss_name and len(baselines.get(_key(one), [])) == 1:
            key = (run_of(one), one.split)
            if key not in last or (one.epoch or 0) >= (last[key].epoch or 0):
                last[key] = one
    found = [_ratio(baselines[_key(one)][0], one) for one in last.values()]
    return [one for one in found if one is not None]


def _key(one: RelationReport) -> tuple[object, ...]:
    return one.dataset, one.split, one.seed, one.epoch


def _ratio(first: RelationReport, second: RelationReport) -> Ratio | None:
    if not (first.temperature and second.temperature and first.logit_size and second.logit_size):
        return None
    norms = None
    if first.weight_norm and second.weight_norm and first.feature_norm and second.feature_norm:
        norms = (first.weight_norm * first.feature_norm) / (
            second.weight_norm * second.feature_norm
        )
    return Ratio(
        epoch=second.epoch,
        seed=second.seed,
        other=_group(second),
        norms=norms,
        logits=first.logit_size / second.logit_size,
        temperatures=first.temperature / second.temperature,
    )


def correlations(results: Sequence[RelationReport]) -> list[tuple[str, list[Correlation]]]:
    """Spearman's rank correlation of the ECE with each number over the epochs of each run."""
    runs: dict[tuple[object, ...], list[RelationReport]] = {}
    for one in results:
        if one.epoch is not None:
            runs.setdefault((run_of(one), one.split), []).append(one)
    found = []
    for members in runs.values():
        label = _group(members[0])
        label += "" if members[0].seed is None else f" s{members[0].seed}"
        label += f" {members[0].split}"
        lines = [
            Correlation(name=name, rho=rho)
            for name in RELATED
            if (rho := _spearman(members, name)) is not None
        ]
        if lines:
            found.append((label, lines))
    return found


def _spearman(members: Sequence[RelationReport], name: str) -> float | None:
    points = [(one.ece, getattr(one, name)) for one in members if getattr(one, name) is not None]
    if len(points) < FEWEST_EPOCHS:
        return None
    errors, others = zip(*points, strict=True)
    if len(set(errors)) < 2 or len(set(others)) < 2:  # a constant goes with nothing
        return None
    return float(spearmanr(errors, others).statistic)


def _group(one: RelationReport) -> str:
    return group_name(one.loss_name, one.label_smoothing)
