"""Everything that is measured of one checkpoint, for the comparison and the terminal UI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nccli import calibration, collapse, hessian
from nccli.batch import CURVED, SCORED, preferred_split
from nccli.checkpoint import Checkpoint
from nccli.compare import Observation, Trajectory, trajectory
from nccli.errors import ContentError, InputError
from nccli.hdf5 import locate_errors, read_checkpoint
from nccli.hessian_report import HessianReport
from nccli.runs import read_run

Part = TypeVar("Part")

RESAMPLES = 200  # enough for bands and intervals that are looked at
SPECTRUM = 20  # eigenvalues that a chart shows


def observe(path: Path, *, curves: bool = False) -> Observation:
    """Measure everything that the comparison and the terminal UI show of one checkpoint.

    curves: also the spectrum and the density that only the terminal UI draws.

    Raises InputError where the file cannot be read; a part that its content does not allow (no
    classifier, no test split, one class only) is None.
    """
    with locate_errors(path):
        checkpoint = read_checkpoint(path)
        return Observation(
            epoch=checkpoint.metadata.epoch,
            train=_part(lambda: _collapse(checkpoint, "train", path)),
            test=_part(lambda: _collapse(checkpoint, "test", path)),
            calibration=_part(lambda: _calibration(checkpoint, path, curves)),
            hessian=_part(lambda: _hessian(checkpoint, path, curves)),
        )


def _part(measure: Callable[[], Part]) -> Part | None:
    try:
        return measure()
    except ContentError as error:
        if error.source is not None:  # the reader's: the numbers themselves are bad
            raise
        return None


def _collapse(checkpoint: Checkpoint, split: str, path: Path) -> collapse.CollapseReport:
    return collapse.analyze(checkpoint, split=split, path=str(path))


def _calibration(checkpoint: Checkpoint, path: Path, curves: bool) -> calibration.CalibrationReport:
    split = preferred_split(checkpoint, SCORED)
    resamples = RESAMPLES if curves else 0  # the bands of the diagrams
    return calibration.analyze(checkpoint, split=split, path=str(path), resamples=resamples)


def _hessian(checkpoint: Checkpoint, path: Path, curves: bool) -> HessianReport:
    split = preferred_split(checkpoint, CURVED)
    more: dict[str, Any] = {}
    if curves:
        more = {"top": SPECTRUM, "spectra": ("w",), "density": ("w",), "probes": 2, "steps": 20}
    return hessian.analyze(checkpoint, split=split, path=str(path), **more)


def observe_run(path: Path) -> tuple[Trajectory, list[InputError]]:
    """Measure every checkpoint of a run directory; unreadable ones are returned as errors."""
    run = read_run(path)
    observations, problems = [], []
    for file in run.checkpoints:
        try:
            observations.append(observe(file))
        except InputError as error:
            problems.append(error)
    return trajectory(run.name, observations), problems
