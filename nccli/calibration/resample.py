"""Bootstrap of every score, from sums over groups of samples.

N samples, G groups, R resamples, B bins, K classes. Up to G samples each is a group of its own:
the ordinary bootstrap. More are dealt into groups by a fixed shuffle of their rows, and groups are
drawn: the variance of every sum stays right, and a resample costs no pass over the samples. Two
models of the same test set get the same groups and the same draws: differences are paired.
Equal-mass bins keep the limits that the data have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.calibration.bins import Ranked
from nccli.calibration.class_cells import Groups, cell_scores
from nccli.calibration.statistics import Statistics
from nccli.calibration.top_sums import SMOOTH_CELLS, Part, TopSums
from nccli.logits import Floats, Integers

RESAMPLES = 1000  # 25 of them lie beyond each end of a 95 % interval
GROUPS, FEWEST_GROUPS = 1000, 100  # the spread that they show is right to 1/sqrt(2 G): 2 to 7 %
LEVEL = 0.95
TABLE = 2 * 2**20  # numbers in the sums of one kind over all groups, or over all resamples
FEWEST_TOGETHER = 64


def group_count(count: int, cells: int) -> int:
    """How many groups: fewer where each has sums over very many cells."""
    return max(1, min(count, GROUPS, TABLE // cells))


def can_group(cells: int) -> bool:
    """Whether class cells are few enough for groups that tell a spread."""
    return TABLE // cells >= FEWEST_GROUPS


def groups_of(count: int, num_classes: int, num_bins: int, *, seed: int, classwise: bool) -> Groups:
    """Deal samples into groups; class cells are left out where they are too many."""
    classwise = classwise and can_group(num_classes * num_bins)
    groups = group_count(count, num_bins * (num_classes if classwise else 1))
    own_N = group_of(np.arange(count), groups, count, seed)
    return Groups(own_N=own_N, count=groups, classwise=classwise)


def group_of(rows: Integers, groups: int, count: int, seed: int) -> Integers:
    """The group of each row, a fixed function of its number."""
    if count <= groups:
        return rows
    mixed = (rows.astype(np.uint64) + np.uint64((seed * 2**32 + 1) % 2**64)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(groups)).astype(np.int64)


def draws(groups: int, resamples: int, seed: int) -> Floats:
    """How often each group is drawn; the first row is the data themselves: (1 + R, G)."""
    rng = np.random.default_rng([seed, 2])
    chosen = rng.integers(0, groups, size=(resamples, groups))
    flat = (chosen + groups * np.arange(resamples)[:, None]).ravel()
    counts_RG = np.bincount(flat, minlength=resamples * groups).reshape(resamples, groups)
    return np.concatenate([np.ones((1, groups)), counts_RG])


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """Each score of the data (first) and of each resample, (1 + R,), and what noise does to it."""

    values: dict[str, Floats]
    null_95: dict[str, float]  # of errors: what noise alone exceeds 5 times of 100
    biases: dict[str, float]  # of sums of absolute gaps: how far noise lifts them, unfolded


def replicates(
    found: Statistics,
    samples: Ranked,
    groups: Groups,
    *,
    num_bins: int,
    resamples: int,
    seed: int,
) -> Replicates:
    """Draw resamples of a pass that summed by these groups; `samples` are those of it, ranked."""
    assert found.grouped is not None
    weights_RG = draws(groups.count, resamples, seed)
    top = TopSums.of(groups.own_N, groups.count, found.odds_N, samples, num_bins)
    step = max(FEWEST_TOGETHER, TABLE // max(num_bins, SMOOTH_CELLS))
    parts = [
        top.scores(np.concatenate([weights_RG[:1], weights_RG[start : start + step]]))
        for start in range(1, len(weights_RG), step)
    ]
    values, nulls, biases = _joined(parts)
    count_R = values.pop("count")
    nll_R, brier_R = found.grouped.linear_2G @ weights_RG.T / count_R
    values |= {"nll": nll_R, "brier": brier_R}
    if groups.classwise:
        more, null, bias = cell_scores(weights_RG, found.grouped, count_R)
        values |= more
        values["brier_refinement"] = brier_R - values["brier_calibration"]
        nulls["ece_classwise"], biases["ece_classwise"] = null, bias
    null_95 = {name: float(np.quantile(null_R, LEVEL)) for name, null_R in nulls.items()}
    return Replicates(values=values, null_95=null_95, biases=biases)


def _joined(parts: list[Part]) -> Part:
    """Chunks of resamples together; each begins with the data themselves."""
    values = {
        name: np.concatenate(
            [values[name][min(place, 1) :] for place, (values, *_) in enumerate(parts)]
        )
        for name in parts[0][0]
    }
    nulls = {name: np.concatenate([null[name] for _, null, _ in parts]) for name in parts[0][1]}
    biases = {name: float(np.mean([bias[name] for *_, bias in parts])) for name in parts[0][2]}
    return values, nulls, biases
