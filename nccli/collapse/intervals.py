"""Intervals by bootstrap over samples, and NC1 of shuffled labels: `nccli analyze --ci`.

N samples, C classes of the network.

Samples are drawn again with replacement within each class, which keeps the class counts (they are
a matter of design) and never loses a class. Every resample goes through the same two passes, with
weights: class means, Sigma_B and its pseudo-inverse are all drawn anew, not only the sums.

Resampled class means carry the sampling noise of the means twice, so that the resamples of a metric
that noise raises (NC2, NC3) lie above the metric itself. Their spread is right, their place is not:
intervals are the quantiles over the resamples, moved so that the median is the metric. Where the
move is larger than the interval, a note says that the metric itself has such a bias.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint, LazyArray
from nccli.collapse.analysis import analyze as analyze_once
from nccli.collapse.analysis import report
from nccli.collapse.centres import Centres
from nccli.collapse.measurement import measure
from nccli.collapse.spans import Threads, Workers
from nccli.collapse_report import CollapseReport
from nccli.logits import Floats, Integers, load_labels
from nccli.result import quantities, quantity

RESAMPLES = 200  # percentiles of fewer are noise themselves; enough for 95 %
CONFIDENCE_LEVEL = 0.95
NEAR_SHUFFLED = 0.5
_EFRON = "percentile bootstrap, Efron & Tibshirani 1993"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a metric would lie with other samples of the same classes."""

    low: float | None = quantity(
        "low",
        "2.5th percentile over the resamples, whose median is moved to the metric",
        source=_EFRON,
    )
    high: float | None = quantity(
        "high", "97.5th percentile over the resamples, moved in the same way", source=_EFRON
    )


def _interval_of(name: str) -> Any:
    meaning = quantities(CollapseReport)[name]
    return quantity(f"{meaning.label}, 95 %", f"interval of {name}", nested=Interval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """The interval of each metric; None where the metric is undefined."""

    accuracy: Interval | None = _interval_of("accuracy")
    loss: Interval | None = _interval_of("loss")
    nc1: Interval | None = _interval_of("nc1")
    nc1_train_means: Interval | None = _interval_of("nc1_train_means")
    nc2_features: Interval | None = _interval_of("nc2_features")
    nc2_duality: Interval | None = _interval_of("nc2_duality")
    nc2_equinorm_features: Interval | None = _interval_of("nc2_equinorm_features")
    nc2_equiangular_features: Interval | None = _interval_of("nc2_equiangular_features")
    nc3: Interval | None = _interval_of("nc3")
    nc4: Interval | None = _interval_of("nc4")
    cdnv: Interval | None = _interval_of("cdnv")
    feature_norm: Interval | None = _interval_of("feature_norm")
    nontarget_logit_spread: Interval | None = _interval_of("nontarget_logit_spread")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledReport(CollapseReport):
    """Neural-collapse metrics with what the samples leave open."""

    resamples: int = quantity("resamples", "how many bootstrap resamples", default=0)
    nc1_shuffled: float | None = quantity(
        "NC1, shuffled labels",
        "NC1 of the same features with their labels shuffled: what so many samples give without "
        "any collapse",
        source="nccli",
    )
    intervals: Intervals | None = quantity("intervals", nested=Intervals)


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    known: dict[str, Centres] | None = None,
    workers: Workers | None = None,
    every_logit: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SampledReport:
    """Return the metrics of a split with percentile intervals over resamples of its samples.

    The class means of another split (of train, for NC1 around them and for NC4) stay as they are.
    known, workers, every_logit: as for `nccli.collapse.analyze`. Raises ContentError where it does.
    """
    known = {} if known is None else known
    single = analyze_once(
        checkpoint,
        split=split,
        path=path,
        known=known,
        workers=workers,
        every_logit=every_logit,
    )
    labels_N = load_labels(checkpoint, split)
    drawn = _defined(
        replicates(
            checkpoint,
            split=split,
            known=known,
            workers=workers,
            every_logit=every_logit,
            resamples=resamples,
            seed=seed,
        )
    )
    shuffled = _shuffled_nc1(checkpoint, split, labels_N, seed, workers)
    own = {field.name: getattr(single, field.name) for field in fields(CollapseReport)}
    notes = (*single.notes, *_shuffled_notes(single.nc1, shuffled), *_bias_notes(single, drawn))
    return SampledReport(
        **(own | {"notes": notes}),
        resamples=resamples,
        nc1_shuffled=shuffled,
        intervals=Intervals(
            **{name: _interval(getattr(single, name), values) for name, values in drawn.items()}
        ),
    )


def replicates(
    checkpoint: Checkpoint,
    *,
    split: str,
    known: dict[str, Centres] | None = None,
    workers: Workers | None = None,
    every_logit: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, list[float | None]]:
    """Return each metric on resamples of a split, one value a resample; None where undefined.

    Which samples are drawn follows from the labels and the seed alone: two networks on the same
    samples are measured on the same resamples. Raises ContentError where `analyze` does.
    """
    known = {} if known is None else known
    labels_N = load_labels(checkpoint, split)
    drawn: dict[str, list[float | None]] = {field.name: [] for field in fields(Intervals)}
    for index in range(resamples):
        weights_N = _resampled(labels_N, np.random.default_rng([seed, index]))
        found = measure(
            checkpoint,
            split,
            known=known,
            workers=workers,
            weights=weights_N,
            every_logit=every_logit,
        )
        one = report(checkpoint, found, split=split, path=None)
        for name, values in drawn.items():
            values.append(getattr(one, name))
    return drawn


def _resampled(labels_N: Integers, rng: np.random.Generator) -> Floats:
    """How often each sample is drawn (N,): as many of each class as there are."""
    order = np.argsort(labels_N, kind="stable")
    counts_C = np.bincount(labels_N)
    starts_N = np.repeat(np.cumsum(counts_C) - counts_C, counts_C)
    within_N = rng.integers(np.repeat(counts_C, counts_C))
    return np.bincount(order[starts_N + within_N], minlength=len(labels_N)).astype(np.float64)


def _defined(drawn: dict[str, list[float | None]]) -> dict[str, list[float]]:
    return {name: [one for one in values if one is not None] for name, values in drawn.items()}


def _interval(value: float | None, values: list[float]) -> Interval | None:
    if value is None or not values:
        return None
    low, middle, high = _quantiles(values)
    if value > 0 and low > 0:  # a ratio keeps positive numbers positive
        return Interval(low=value * low / middle, high=value * high / middle)
    return Interval(low=value + low - middle, high=value + high - middle)


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    tail = (1.0 - CONFIDENCE_LEVEL) / 2.0
    low, middle, high = np.quantile(values, [tail, 0.5, 1.0 - tail])
    return float(low), float(middle), float(high)


def _bias_notes(single: CollapseReport, drawn: dict[str, list[float]]) -> list[str]:
    biased = []
    for name, values in drawn.items():
        value = getattr(single, name)
        if value is None or not values:
            continue
        low, middle, high = _quantiles(values)
        if abs(middle - value) > high - low:
            biased.append(f"{name} by about {middle - value:+.1g}")
    if not biased:
        return []
    return [f"so few samples move metrics by more than their interval: {', '.join(biased)}"]


def _shuffled_nc1(
    checkpoint: Checkpoint, split: str, labels_N: Integers, seed: int, workers: Workers | None
) -> float | None:
    part = checkpoint.split(split)
    labels = LazyArray.of(np.random.default_rng(seed).permutation(labels_N))
    shuffled = replace(
        checkpoint,
        splits={split: replace(part, labels=labels, logits=None)},
        classifier=None,
    )
    threads = workers.count if isinstance(workers, Threads) else None
    return analyze_once(shuffled, split=split, threads=threads).nc1


def _shuffled_notes(nc1: float | None, shuffled: float | None) -> list[str]:
    if nc1 is None or shuffled is None or nc1 < NEAR_SHUFFLED * shuffled:
        return []
    return [f"nc1 is near that of shuffled labels ({shuffled:.3g}): no collapse can be told here"]
