"""Cross-entropy beside label smoothing: paired differences over seeds, and the paper's statements.

A run is a `Trajectory` of `Observation`s by epoch. Two groups of runs are paired by seed; every
difference is that of logarithms where the quantity is positive (so it reads as a ratio), with a
95 % t-interval over the pairs. A statement is "supported" only where the interval says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from nccli.calibration import CalibrationReport
from nccli.checkpoint import group_name
from nccli.collapse import CollapseReport
from nccli.errors import UsageError
from nccli.hessian import HessianReport
from nccli.result import Better, quantity

CONFIDENCE_LEVEL = 0.95
Verdict = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was measured at one checkpoint; a part is None where the file does not allow it."""

    epoch: int | None
    train: CollapseReport | None = None
    test: CollapseReport | None = None
    calibration: CalibrationReport | None = None
    hessian: HessianReport | None = None

    def value(self, key: str) -> float | None:
        """Return a number by its dotted name: `train.nc1`, `calibration.calibrated.ece`."""
        found: Any = self
        for name in key.split("."):
            found = getattr(found, name, None)
        return float(found) if isinstance(found, (int, float)) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One run: its loss, its seed and its observations by epoch."""

    name: str
    group: str  # "CE" or "LS 0.05"
    delta: float | None
    seed: int | None
    observations: tuple[Observation, ...]

    @property
    def last(self) -> Observation:
        """The observation of the last epoch."""
        return self.observations[-1]

    def series(self, key: str) -> dict[int, float]:
        """Return the defined values of a quantity by epoch."""
        found = {}
        for observation in self.observations:
            value = observation.value(key)
            if observation.epoch is not None and value is not None:
                found[observation.epoch] = value
        return found


def trajectory(name: str, observations: Sequence[Observation]) -> Trajectory:
    """Make a trajectory; loss and seed are those of its reports."""
    ordered = sorted(observations, key=lambda one: -1 if one.epoch is None else one.epoch)
    reports = [one.train or one.test or one.calibration or one.hessian for one in ordered]
    report = next((one for one in reversed(reports) if one is not None), None)
    delta = None if report is None else report.label_smoothing
    return Trajectory(
        name=name,
        group=group_name(None if report is None else report.loss_name, delta),
        delta=delta,
        seed=None if report is None else report.seed,
        observations=tuple(ordered),
    )


def check_seeds(runs: Sequence[Trajectory]) -> None:
    """Raise UsageError where two runs of one loss have the same seed: they are no two samples."""
    seen: dict[tuple[str, int], str] = {}
    for run in runs:
        if run.seed is None:
            continue
        if (other := seen.setdefault((run.group, run.seed), run.name)) != run.name:
            raise UsageError(
                f"two runs of {run.group} have seed {run.seed}: {other} and {run.name}",
                remedy="compare one experiment at a time",
            )


# --- the comparison table -----------------------------------------------------------------------


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
class Comparison:
    """One quantity in two groups of runs at their last epochs, paired by seed."""

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
    low: float | None = quantity("low", "95 % t-interval over pairs: of the ratio, else difference")
    high: float | None = quantity("high", "95 % t-interval over pairs")
    winner: str | None = quantity("better", "the group the interval favours; None if undecided")


def compare(
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    *,
    rows: Sequence[Compared] = COMPARED,
) -> list[Comparison]:
    """Compare two groups of runs at their last epochs."""
    return [_compare_last(row, baseline, other) for row in rows]


def _compare_last(
    row: Compared, baseline: Sequence[Trajectory], other: Sequence[Trajectory]
) -> Comparison:
    values = [
        (one.last.value(row.key), two.last.value(row.key)) for one, two in _pairs(baseline, other)
    ]
    means = [_mean_std([run.last.value(row.key) for run in group]) for group in (baseline, other)]
    return _comparison(row, baseline[0].group, other[0].group, means, values)


def _pairs(
    baseline: Sequence[Trajectory], other: Sequence[Trajectory]
) -> list[tuple[Trajectory, Trajectory]]:
    # a run that does not tell its seed has no partner: pairing it would invent a sample
    by_seed = {run.seed: run for run in other if run.seed is not None}
    return [(run, by_seed[run.seed]) for run in baseline if run.seed in by_seed]


def _mean_std(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    defined = [value for value in values if value is not None]
    if not defined:
        return None, None
    spread = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return float(np.mean(defined)), spread


def _comparison(
    row: Compared,
    baseline: str,
    other: str,
    means: list[tuple[float | None, float | None]],
    values: Sequence[tuple[float | None, float | None]],
) -> Comparison:
    pairs = [(one, two) for one, two in values if one is not None and two is not None]
    differences = [two - one for one, two in pairs]
    positive = row.as_ratio and bool(pairs) and all(min(pair) > 0 for pair in pairs)
    logs = [math.log(two / one) for one, two in pairs] if positive else []
    low, high = t_interval(logs if positive else differences)
    return Comparison(
        key=row.key,
        label=row.label,
        better=row.better,
        baseline=baseline,
        other=other,
        baseline_mean=means[0][0],
        baseline_std=means[0][1],
        other_mean=means[1][0],
        other_std=means[1][1],
        pairs=len(pairs),
        difference=float(np.mean(differences)) if pairs else None,
        ratio=math.exp(float(np.mean(logs))) if positive else None,
        low=_exp(low) if positive else low,
        high=_exp(high) if positive else high,
        winner=_winner(row.better, low, high, baseline, other),
    )


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(min(value, 700.0))


def _winner(
    better: Better | None, low: float | None, high: float | None, baseline: str, other: str
) -> str | None:
    if better is None or low is None or high is None or low <= 0 <= high:
        return None
    rises = low > 0
    return other if rises == (better == "higher") else baseline


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % Student interval of the mean; (None, None) of fewer than two different values."""
    if len(set(values)) < 2:
        return None, None
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE_LEVEL) / 2)) * float(
        np.std(values, ddof=1)
    )
    half /= math.sqrt(len(values))
    mean = float(np.mean(values))
    return mean - half, mean + half


# --- the paper's statements ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement of arXiv 2402.03979 and what these runs say of it."""

    statement: str = quantity("the paper says", default="")
    verdict: Verdict = quantity("these runs", default="undecided")
    evidence: str = quantity("evidence", default="")


_STATEMENTS = (
    ("LS collapses more strongly: smaller NC1", "train.nc1"),
    ("LS comes closer to the simplex ETF: smaller NC2 (means)", "train.nc2_features"),
    ("LS is closer to self-duality: smaller NC3", "train.nc3"),
    ("LS makes the non-target logits equal (Mechanism 2)", "train.nontarget_logit_spread"),
    ("LS keeps the classifier's norm small", "train.weight_norm"),
    ("LS keeps the feature norm small", "train.feature_norm"),
    ("LS is better calibrated: smaller test ECE", "calibration.ece"),
    ("LS is better conditioned: smaller kappa on the class means", "hessian.kappa_means_w"),
    ("... also with the penalties (not the paper's notion)", "hessian.kappa_regularised_w"),
)


def claims(baseline: Sequence[Trajectory], other: Sequence[Trajectory]) -> list[Claim]:
    """Return the paper's statements with their verdicts on these runs (baseline CE, other LS)."""
    rows = {row.key: row for row in compare(baseline, other)}
    return [
        _faster(baseline, other),
        *(_claim(statement, rows[key]) for statement, key in _STATEMENTS),
        _matched(baseline, other),
    ]


def _claim(statement: str, row: Comparison) -> Claim:
    return Claim(statement=statement, verdict=_verdict(row), evidence=describe(row))


def _verdict(row: Comparison) -> Verdict:
    if row.winner is None:
        return "undecided"
    return "supported" if row.winner == row.other else "not supported"


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
    return f"{text}; {name} {value:.2g} [{row.low:.2g}, {row.high:.2g}], {row.pairs} pairs"


def _spread(mean: float, std: float | None) -> str:
    return f"{mean:.3g}" if std is None else f"{mean:.3g} ± {std:.1g}"


def _faster(baseline: Sequence[Trajectory], other: Sequence[Trajectory]) -> Claim:
    """At how many of the saved epochs do all seed pairs have the smaller NC1 under LS?"""
    ahead: dict[int, list[bool]] = {}
    pairs = _pairs(baseline, other)
    for one, two in pairs:
        first, second = one.series("train.nc1"), two.series("train.nc1")
        for epoch in sorted(set(first) & set(second)):
            ahead.setdefault(epoch, []).append(second[epoch] < first[epoch])
    statement = "LS collapses faster: smaller NC1 on the way"
    if not ahead:
        return Claim(statement=statement, evidence="no epoch saved by both groups")
    led = [epoch for epoch, wins in ahead.items() if all(wins)]
    lost = [epoch for epoch, wins in ahead.items() if not any(wins)]
    verdict: Verdict = "undecided"
    if len(pairs) > 1 and len(led) > len(ahead) / 2:
        verdict = "supported"
    elif len(pairs) > 1 and len(lost) > len(ahead) / 2:
        verdict = "not supported"
    since = next((e for e in ahead if all(all(ahead[f]) for f in ahead if f >= e)), None)
    tail = "not so at the last one" if since is None else f"always from epoch {since} on"
    who = "" if len(pairs) == 1 else f" in all {len(pairs)} pairs"
    evidence = f"LS ahead{who} at {len(led)} of {len(ahead)} saved epochs; {tail}"
    return Claim(statement=statement, verdict=verdict, evidence=evidence)


def _matched(baseline: Sequence[Trajectory], other: Sequence[Trajectory]) -> Claim:
    """NC2 of both groups where their NC1 is equal: the deepest level that both reach."""
    values = [_nc2_at_equal_nc1(one, two) for one, two in _pairs(baseline, other)]
    found = [pair for pair in values if pair is not None]
    statement = "at equal NC1, LS has the smaller NC2 (means)"
    if not found:
        return Claim(statement=statement, evidence="the groups share no level of NC1")
    means = [_mean_std([pair[side] for pair in found]) for side in (0, 1)]
    row = Compared(key="train.nc2_features", label="NC2 means at equal NC1")
    result = _comparison(row, baseline[0].group, other[0].group, means, found)
    return _claim(statement, result)


def _nc2_at_equal_nc1(one: Trajectory, two: Trajectory) -> tuple[float, float] | None:
    curves = [_nc2_by_nc1(run) for run in (one, two)]
    if any(len(curve) < 2 for curve in curves):
        return None
    level = max(min(x for x, _ in curve) for curve in curves)
    if any(level > max(x for x, _ in curve) for curve in curves):
        return None
    first, second = (_interpolated(curve, level) for curve in curves)
    return first, second


def _nc2_by_nc1(run: Trajectory) -> list[tuple[float, float]]:
    nc1, nc2 = run.series("train.nc1"), run.series("train.nc2_features")
    points = [(nc1[epoch], nc2[epoch]) for epoch in nc1 if epoch in nc2]
    return sorted(
        (math.log(level), math.log(value)) for level, value in points if level > 0 and value > 0
    )


def _interpolated(curve: list[tuple[float, float]], level: float) -> float:
    """NC2 at log NC1 = level, linear between neighbours on log-log axes."""
    x, y = zip(*curve, strict=True)
    return math.exp(float(np.interp(level, x, y)))
