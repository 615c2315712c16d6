"""What saving in float16 does to the metrics of runs saved in float32 or float64.

    nccli train --dtype float32 --out runs && python tests/benchmarks/float16.py runs

Largest and median relative change over all checkpoints: of features rounded to float16, of these
around class means in float32 (would it pay to store them?), and with the classifier rounded too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np

import nccli
from nccli.checkpoint import Checkpoint
from nccli.collapse import CollapseReport, centres

METRICS = (
    "nc1",
    "nc2_features",
    "nc2_classifier",
    "nc2_duality",
    "nc2_equinorm_features",
    "nc2_equiangular_features",
    "nc3",
    "cdnv",
)
WAYS = ("features float16", "+ class means float32", "+ classifier float16")


def main(arguments: list[str]) -> None:
    """Print the table."""
    paths = [path for name in arguments for path in sorted(Path(name).rglob("epoch-*.h5"))]
    if not paths:
        raise SystemExit("usage: float16.py RUNS, directories of runs saved with --dtype float32")
    changes = np.array([_changes(path) for path in paths])  # (paths, ways, metrics)
    print(f"{len(paths)} checkpoints: relative change, largest (median)")
    print(" " * 26 + "".join(f"{way:>24}" for way in WAYS))
    for place, metric in enumerate(METRICS):
        cells = (
            f"{np.nanmax(column):.0e} ({np.nanmedian(column):.0e})"
            for column in changes[:, :, place].T
        )
        print(f"{metric:<26}" + "".join(f"{cell:>24}" for cell in cells))


def _changes(path: Path) -> list[list[float]]:
    checkpoint = nccli.read_checkpoint(path)
    exact = _values(nccli.collapse.analyze(checkpoint, every_logit=False))
    return [
        [abs(value / true - 1.0) for value, true in zip(_values(found), exact, strict=True)]
        for found in _roundings(checkpoint)
    ]


def _roundings(checkpoint: Checkpoint) -> Iterator[CollapseReport]:
    assert checkpoint.classifier is not None
    weight, bias = checkpoint.classifier.arrays()
    features = checkpoint.split("train").features.load()
    labels = checkpoint.split("train").labels.load()

    def analyzed(weight_dtype: str) -> CollapseReport:
        rounded = Checkpoint.from_arrays(
            {"train": (features.astype(np.float16), labels)},
            weight=weight.astype(weight_dtype),
            bias=bias.astype(weight_dtype),
        )
        return nccli.collapse.analyze(rounded, every_logit=False)

    yield analyzed("float64")
    members = [features[labels == own] for own in range(checkpoint.num_classes)]
    means_CD = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in members])
    with mock.patch.object(centres, "_centres", _around(means_CD.astype(np.float32))):
        yield analyzed("float64")
    yield analyzed("float16")


def _around(means_CD: np.ndarray) -> Callable[..., centres.Centres]:
    original = centres._centres

    def found(present, counts_C, _means_CD, stored_eps):  # type: ignore[no-untyped-def]
        return original(present, counts_C, means_CD.astype(np.float64), stored_eps)

    return found


def _values(report: CollapseReport) -> list[float]:
    return [float(getattr(report, metric)) for metric in METRICS]


if __name__ == "__main__":
    main(sys.argv[1:])
