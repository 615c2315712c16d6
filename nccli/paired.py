"""One number in two groups of runs, paired by seed: mean, spread, difference and its interval.

Every difference is that of logarithms where the quantity is positive (so it reads as a ratio),
with a 95 % interval over the pairs (`nccli.changes`). Groups that share fewer than two seeds are
compared as independent samples. A group is the better one only where the interval says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from nccli.changes import STUDENT, Change, Method, change_of_means, change_of_pairs, spread_of
from nccli.result import Better, Shown, quantity
from nccli.trajectory import Trajectory, scored_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A row of the comparison: which number, its name, and which way is better."""

    key: str
    label: str
    better: Better | None = "lower"
    as_ratio: bool = True  # where all values are positive; shares and signed gaps are subtracted


COMPARED = (
    Compared(key="train.accuracy", label="train accuracy", better="higher", as_ratio=False),
    Compared(key="test.accuracy", label="test accuracy", better="higher", as_ratio=False),
    Compared(key="train.nc1", label="NC1 train"),
    Compared(key="test.nc1", label="NC1 test"),
    Compared(key="train.nc2_features", label="NC2 means"),
    Compared(key="train.nc2_classifier", label="NC2 classifier"),
    Compared(key="train.nc2_duality", label="NC2 duality"),
    Compared(key="train.nc3", label="NC3"),
    Compared(key="train.nc4", label="NC4 train"),
    Compared(key="test.nc4", label="NC4 test"),
    Compared(key="train.cdnv", label="CDNV train"),
    Compared(key="train.nontarget_logit_spread", label="non-target spread"),
    Compared(key="train.weight_norm", label="norm of w_k"),
    Compared(key="train.feature_norm", label="norm of h_i"),
    Compared(key="calibration.nll", label="NLL test"),
    Compared(key="calibration.ece", label="ECE test"),
    Compared(key="calibration.calibrated.ece", label="ECE after T"),
    Compared(key="calibration.ece_noise_floor", label="ECE noise floor", better=None),
    Compared(key="calibration.overconfidence", label="overconfidence", better=None, as_ratio=False),
    Compared(key="calibration.temperature", label="best temperature", better=None),
    Compared(key="hessian.kappa_means_w", label="kappa means W"),
    Compared(key="hessian.kappa_h_median", label="kappa H median"),
    Compared(key="hessian.kappa_regularised_w", label="kappa regul. W"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Shown):
    """One quantity in two groups of runs, paired by seed."""

    key: str = quantity("quantity", "dotted name of the number", default="")
    label: str = quantity("metric", default="")
    better: Better | None = quantity("better", "which way is better")
    baseline: str = quantity("baseline", default="")
    other: str = quantity("other", default="")
    baseline_mean: float | None = quantity("mean of baseline")
    baseline_std: float | None = quantity("std of baseline", "over seeds (n - 1)")
    other_mean: float | None = quantity("mean of other")
    other_std: float | None = quantity("std of other", "over seeds (n - 1)")
    pairs: int = quantity("pairs", "seeds that both groups have", default=0)
    difference: float | None = quantity("difference", "other minus baseline, mean over pairs")
    ratio: float | None = quantity("ratio", "geometric mean over pairs of other / baseline")
    low: float | None = quantity("low", "95 % interval: of the ratio, else of the difference")
    high: float | None = quantity("high", "its upper end")
    winner: str | None = quantity("better", "the group the interval favours; None if undecided")
    interval: str | None = quantity(
        "interval", "what it is: paired t, Welch t, paired bootstrap, bootstrap or sample bootstrap"
    )


def comparison(
    row: Compared,
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    value: Callable[[Trajectory], float | None],
    *,
    method: Method = STUDENT,
) -> Comparison:
    """Compare the values that two groups of runs have; means are over all runs with a value."""
    row, value = _of_one_split(row, value, scored_splits([*baseline, *other]))
    ones, twos = (_defined([value(run) for run in group]) for group in (baseline, other))
    seeds = _values(seed_pairs(baseline, other), value)
    alone = len(ones) == len(twos) == 1  # the only two there are, whatever their seeds
    pairs = [(ones[0], twos[0])] if alone else seeds
    paired = alone or len(seeds) > 1
    used = [x for pair in pairs for x in pair] if paired else [*ones, *twos]
    positive = row.as_ratio and bool(used) and min(used) > 0

    def change(of: Callable[[float], float]) -> Change:
        if paired:
            return change_of_pairs([(of(one), of(two)) for one, two in pairs], method)
        return change_of_means([of(one) for one in ones], [of(two) for two in twos], method)

    plain = change(float)
    logs = change(math.log) if positive else None
    interval = plain if logs is None else logs
    low, high = interval.low, interval.high
    names = baseline[0].group, other[0].group
    return Comparison(
        key=row.key,
        label=row.label,
        better=row.better,
        baseline=names[0],
        other=names[1],
        baseline_mean=fmean(ones) if ones else None,
        baseline_std=spread_of(ones),
        other_mean=fmean(twos) if twos else None,
        other_std=spread_of(twos),
        pairs=len(seeds) if paired else 0,
        difference=plain.mean,
        ratio=None if logs is None else exponential(logs.mean),
        low=exponential(low) if positive else low,
        high=exponential(high) if positive else high,
        winner=winner(row.better, low, high, names),
        interval=interval.kind,
    )


def seed_pairs(
    baseline: Sequence[Trajectory], other: Sequence[Trajectory]
) -> list[tuple[Trajectory, Trajectory]]:
    """Return the runs of both groups that have the same seed, beside each other."""
    # a run that does not tell its seed has no partner: pairing it would invent a sample
    by_seed = {run.seed: run for run in other if run.seed is not None}
    return [(run, by_seed[run.seed]) for run in baseline if run.seed in by_seed]


def _of_one_split(
    row: Compared, value: Callable[[Trajectory], float | None], splits: set[str]
) -> tuple[Compared, Callable[[Trajectory], float | None]]:
    """Name the split that a calibration score is of; scores of two splits are no comparison."""
    if not row.key.startswith("calibration.") or splits <= {"test"}:
        return row, value
    if len(splits) > 1:
        return row, lambda _: None
    label = row.label.replace("test", "").strip()
    return replace(row, label=f"{label} {next(iter(splits))}"), value


def _values(
    pairs: Sequence[tuple[Trajectory, Trajectory]], value: Callable[[Trajectory], float | None]
) -> list[tuple[float, float]]:
    found = [(value(one), value(two)) for one, two in pairs]
    return [(one, two) for one, two in found if one is not None and two is not None]


def _defined(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def exponential(value: float | None) -> float | None:
    """Return a ratio from its logarithm, finite."""
    return None if value is None else math.exp(min(value, 700.0))


def winner(
    better: Better | None, low: float | None, high: float | None, names: tuple[str, str]
) -> str | None:
    """Return which of two groups an interval of the change (of logarithms) favours."""
    if better is None or low is None or high is None or low <= 0 <= high:
        return None
    return names[1] if (low > 0) == (better == "higher") else names[0]


def describe(row: Comparison) -> str:
    """Return a comparison in words: means, spread, pairs, and the interval that decided."""
    if row.baseline_mean is None or row.other_mean is None:
        return "not measured in both groups"
    other, baseline = (name.partition(" ")[0] for name in (row.other, row.baseline))
    text = (
        f"{other} {_spread(row.other_mean, row.other_std)}, "
        f"{baseline} {_spread(row.baseline_mean, row.baseline_std)}"
    )
    if row.low is None or row.high is None:
        return f"{text}; {row.pairs or 'no'} seed pair{'' if row.pairs == 1 else 's'}, no interval"
    name, value = ("ratio", row.ratio) if row.ratio is not None else ("diff", row.difference)
    basis = f"{row.pairs} pairs" if row.pairs > 1 else row.interval
    return f"{text}; {name} {value:.2g} [{row.low:.2g}, {row.high:.2g}], {basis}"


def _spread(mean: float, std: float | None) -> str:
    return f"{mean:.3g}" if std is None else f"{mean:.3g} ± {std:.1g}"
