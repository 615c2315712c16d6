"""Everything that is measured of one checkpoint, for the comparison and the terminal UI."""

from __future__ import annotations

from pathlib import Path

from nccli import calibration, collapse, hessian
from nccli.batch import CURVED, SCORED, preferred_split
from nccli.checkpoint import Checkpoint
from nccli.compare import Observation, Trajectory, trajectory
from nccli.errors import ContentError, InputError
from nccli.hdf5 import locate_errors, read_checkpoint
from nccli.logits import can_predict
from nccli.runs import read_run


def observe(path: Path) -> Observation:
    """Measure everything that the comparison and the terminal UI show of one checkpoint.

    Raises InputError where the file cannot be read; a part that the file does not allow (no
    classifier, no test split) is None.
    """
    with locate_errors(path):
        checkpoint = read_checkpoint(path)
        names = [name for name in ("train", "test") if name in checkpoint.splits]
        reports = collapse.analyze_splits(checkpoint, splits=names, path=str(path))
        found = dict(zip(names, reports, strict=True))
        return Observation(
            epoch=checkpoint.metadata.epoch,
            train=found.get("train"),
            test=found.get("test"),
            calibration=_calibration(checkpoint, path),
            hessian=_hessian(checkpoint, path),
        )


def _calibration(checkpoint: Checkpoint, path: Path) -> calibration.CalibrationReport | None:
    split = preferred_split(checkpoint, SCORED)
    if not can_predict(checkpoint, split):
        return None
    return calibration.analyze(checkpoint, split=split, path=str(path))


def _hessian(checkpoint: Checkpoint, path: Path) -> hessian.HessianReport | None:
    if checkpoint.classifier is None:
        return None
    try:
        return hessian.analyze(
            checkpoint, split=preferred_split(checkpoint, CURVED), path=str(path)
        )
    except ContentError:
        return None


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
