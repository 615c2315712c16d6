"""Two networks on the same samples: intervals of their differences by resampling the samples.

One run a group leaves no seeds to take an interval over. What is left is the question whether the
two networks differ by more than the choice of samples explains; it says nothing of other seeds.
R resamples; both networks are measured on the same ones (a paired bootstrap; Efron & Tibshirani
1993), stratified by class for the collapse metrics. As everywhere here, the quantiles are moved so
that the median of the resamples is the difference itself.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nccli.batch import SCORED, preferred_split
from nccli.calibration import paired as scored
from nccli.changes import SAMPLES
from nccli.checkpoint import Checkpoint
from nccli.collapse.intervals import replicates
from nccli.compare import COMPARED, Compared, Comparison, Trajectory
from nccli.compare import compare as compare_runs
from nccli.errors import ContentError, UsageError
from nccli.hdf5 import read_checkpoint
from nccli.logits import load_labels
from nccli.paired import exponential, winner

RESAMPLES = 200
_SPLITS = ("train", "test")
_Ends = tuple[float | None, float | None]


def compare_samples(
    baseline: Sequence[Trajectory],
    other: Sequence[Trajectory],
    *,
    rows: Sequence[Compared] = COMPARED,
    resamples: int = RESAMPLES,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> list[Comparison]:
    """Compare the last checkpoints of two runs, with intervals over their samples.

    advance: called after each of `steps` steps. Calibration scores get the interval of their
    difference, as `nccli calibrate --paired` gives it; what no samples stand behind (condition
    numbers, the classifier) gets none.

    Raises UsageError for more than one run a group; ContentError where the files do not hold the
    same samples; InputError where one cannot be read.
    """
    one, two = _single(baseline), _single(other)
    found = {row.key: row for row in compare_runs(baseline, other, rows=rows)}
    files = [read_checkpoint(path) for path in (one, two)]
    names = (baseline[0].group, other[0].group)
    for split in _SPLITS:
        if all(split in file.splits for file in files):
            drawn = _collapse(files, (one, two), split, resamples=resamples, seed=seed)
            advance()
            _put_collapse(found, rows, split, drawn, names)
    _put_scores(found, files, (one, two), names, resamples=resamples, seed=seed)
    advance()
    return list(found.values())


steps = len(_SPLITS) + 1


def _single(group: Sequence[Trajectory]) -> Path:
    if len(group) != 1 or group[0].last.path is None:
        raise UsageError(
            f"intervals over samples are for one run a group; {group[0].group} has {len(group)}",
            remedy="name two runs, or leave --interval out: seeds give the interval",
        )
    return Path(group[0].last.path)


def _digest(checkpoint: Checkpoint, split: str) -> str:
    return hashlib.sha256(load_labels(checkpoint, split).tobytes()).hexdigest()


def _check_same(files: Sequence[Checkpoint], paths: Sequence[Path], split: str) -> None:
    if _digest(files[0], split) != _digest(files[1], split):
        raise ContentError(
            f"does not hold the {split} samples of {paths[0]}: the labels differ",
            source=paths[1],
            remedy="compare two networks on the same data, in the same order",
        )


def _collapse(
    files: Sequence[Checkpoint],
    paths: Sequence[Path],
    split: str,
    *,
    resamples: int,
    seed: int,
) -> list[dict[str, list[float | None]]]:
    _check_same(files, paths, split)
    return [replicates(file, split=split, resamples=resamples, seed=seed) for file in files]


def _put_collapse(
    found: dict[str, Comparison],
    rows: Sequence[Compared],
    split: str,
    drawn: Sequence[dict[str, list[float | None]]],
    names: tuple[str, str],
) -> None:
    for row in rows:
        part, _, name = row.key.partition(".")
        if part != split or name not in drawn[0]:
            continue
        whole = found[row.key]
        pairs = [
            (one, two)
            for one, two in zip(drawn[0][name], drawn[1][name], strict=True)
            if one is not None and two is not None
        ]
        logs = whole.ratio is not None and all(min(pair) > 0 for pair in pairs)
        if not pairs or whole.difference is None:
            continue
        if logs and whole.ratio is not None:
            centre = math.log(whole.ratio)
            low, high = _ends(centre, [math.log(two / one) for one, two in pairs])
            ends = (exponential(low), exponential(high))
        else:
            whole = replace(whole, ratio=None)
            low, high = ends = _ends(whole.difference or 0.0, [two - one for one, two in pairs])
        found[row.key] = _with(whole, ends, winner(row.better, low, high, names))


def _ends(value: float, values_R: Sequence[float]) -> tuple[float, float]:
    low, middle, high = np.quantile(values_R, [0.025, 0.5, 0.975])
    return float(value + low - middle), float(value + high - middle)


def _with(row: Comparison, ends: _Ends, better: str | None) -> Comparison:
    if ends[0] == ends[1]:  # nothing moves: no sample decides it
        return row
    return replace(row, low=ends[0], high=ends[1], winner=better, interval=SAMPLES)


def _put_scores(
    found: dict[str, Comparison],
    files: Sequence[Checkpoint],
    paths: Sequence[Path],
    names: tuple[str, str],
    *,
    resamples: int,
    seed: int,
) -> None:
    splits = {preferred_split(file, SCORED) for file in files}
    split = splits.pop()
    if splits or any(split not in file.splits or file.classifier is None for file in files):
        return
    _check_same(files, paths, split)
    reports = [
        scored.analyze(file, split=split, resamples=resamples, seed=seed, path=str(path))
        for file, path in zip(files, paths, strict=True)
    ]
    for row in scored.differences_of(*reports):
        _put_score(found, f"calibration.{row.score}", row, "", names)
        _put_score(found, f"calibration.calibrated.{row.score}", row, "_calibrated", names)


def _put_score(
    found: dict[str, Comparison], key: str, row: Any, suffix: str, names: tuple[str, str]
) -> None:
    ends: _Ends = tuple(getattr(row, f"{end}{suffix}") for end in ("low", "high"))
    if key in found and None not in ends:
        whole = replace(found[key], ratio=None)
        found[key] = _with(whole, ends, winner(whole.better, *ends, names))
