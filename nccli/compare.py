"""Cross-entropy beside label smoothing: the runs at their last epochs, and the paper's statements.

Two groups of runs are paired by seed (`nccli.paired`); a statement is "supported" only where the
95 % interval over the pairs says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nccli.changes import STUDENT, Method, t_interval
from nccli.matching import Matched, matched, shared_levels
from nccli.paired import (
    COMPARED,
    Compared,
    Comparison,
    comparison,
    describe,
    seed_pairs,
)
from nccli.result import quantity
from nccli.trajectory import Observation, Trajectory, check_seeds, trajectory

__all__ = [
    "COMPARED",
    "Claim",
    "Compared",
    "Comparison",
    "Observation",
    "Trajectory",
    "Verdict",
    "check_seeds",
    "claims",
    "claims_at_equal_nc1",
    "compare",
    "deepest",
    "describe",
    "seed_pairs",
    "t_interval",
    "trajectory",
]

Verdict = Literal["supported", "not supported", "undecided"]


def compare(
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    *,
    rows: Sequence[Compared] = COMPARED,
    method: Method = STUDENT,
) -> list[Comparison]:
    """Compare two groups of runs at their last epochs; `method` makes the intervals.

    >>> import nccli
    >>> from nccli.compare import compare
    >>> runs = nccli.sample_data_path("runs")
    >>> ce, _ = nccli.observe_run(runs / "digits-mlp-ce-s0")
    >>> ls, _ = nccli.observe_run(runs / "digits-mlp-ls0.05-s0")
    >>> rows = {row.key: row for row in compare([ce], [ls])}
    >>> f"{rows['train.nc1'].ratio:.2f}, {rows['calibration.ece'].ratio:.2f}"
    '0.40, 0.44'
    """
    return [_compare_last(row, baseline, other, method) for row in rows]


def _compare_last(
    row: Compared, baseline: Sequence[Trajectory], other: Sequence[Trajectory], method: Method
) -> Comparison:
    return comparison(row, baseline, other, lambda run: run.last.value(row.key), method=method)


# --- the paper's statements ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One statement of arXiv 2402.03979 and what these runs say of it."""

    statement: str = quantity("the paper says", default="")
    verdict: Verdict = quantity("these runs", default="undecided")
    evidence: str = quantity("evidence", default="")


def are_the_papers(baseline: Sequence[Trajectory], other: Sequence[Trajectory]) -> bool:
    """Tell whether two groups are what the paper speaks of: cross-entropy, and label smoothing."""
    return baseline[0].group == "CE" and not baseline[0].delta and bool(other[0].delta)


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
_AT_EQUAL_NC1 = (
    ("at equal NC1, LS has the smaller NC2 (means)", "train.nc2_features"),
    ("... and the smaller NC2 of W M^T, which the paper's code logs", "train.nc2_duality"),
)


def claims(
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    *,
    compared: Sequence[Comparison] | None = None,
) -> list[Claim]:
    """Return the paper's statements with their verdicts on these runs (baseline CE, other LS).

    compared: the rows of `compare` where they are known.
    """
    found = compare(baseline, other) if compared is None else compared
    rows = {row.key: row for row in found}
    return [
        _faster(baseline, other),
        *(_claim(statement, rows[key]) for statement, key in _STATEMENTS),
        _means_at_equal_nc1(baseline, other),
    ]


def _claim(statement: str, row: Comparison) -> Claim:
    return Claim(statement=statement, verdict=_verdict(row), evidence=describe(row))


def _verdict(row: Comparison) -> Verdict:
    if row.winner is None:
        return "undecided"
    return "supported" if row.winner == row.other else "not supported"


def _faster(baseline: Sequence[Trajectory], other: Sequence[Trajectory]) -> Claim:
    """At how many of the saved epochs do all seed pairs have the smaller NC1 under LS?"""
    ahead: dict[int, list[bool]] = {}
    pairs = seed_pairs(baseline, other)
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


def claims_at_equal_nc1(rows: Sequence[Matched]) -> list[Claim]:
    """Return the statements about runs matched by NC1, judged at the deepest level.

    rows: those of `matched`; a level that some run does not reach judges nothing, as the others
    are no fair sample of their group. Both statements are the paper's: its text has the NC2 of the
    class means, its code logs that of W M^T.
    """
    return [_claim_at_equal_nc1(statement, key, rows) for statement, key in _AT_EQUAL_NC1]


def deepest(rows: Sequence[Matched], key: str) -> Matched | None:
    """Return a number's row at the deepest level at which every run has it."""
    sound = [row for row in rows if row.key == key and not row.notes]
    return min(sound, key=lambda row: row.level, default=None)


def _claim_at_equal_nc1(statement: str, key: str, rows: Sequence[Matched]) -> Claim:
    row = deepest(rows, key)
    if row is None:
        return Claim(statement=statement, evidence="no level of NC1 that all runs reach")
    return _claim(statement, row)


def _means_at_equal_nc1(baseline: Sequence[Trajectory], other: Sequence[Trajectory]) -> Claim:
    statement, key = _AT_EQUAL_NC1[0]
    levels = shared_levels([*baseline, *other])[-1:]  # only the one that is judged
    nc2 = [row for row in COMPARED if row.key == key]
    return _claim_at_equal_nc1(statement, key, matched(baseline, other, levels=levels, rows=nc2))
