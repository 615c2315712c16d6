"""Everything that is measured of one checkpoint, for the comparison and the terminal UI."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nccli import calibration, collapse, hessian
from nccli.batch import CURVED, SCORED, preferred_split
from nccli.cache import recall
from nccli.checkpoint import Checkpoint
from nccli.compare import Observation, Trajectory, trajectory
from nccli.errors import ContentError, InputError
from nccli.hessian_report import HessianReport
from nccli.runs import read_run
from nccli.work import observing

Part = TypeVar("Part")

RESAMPLES = 200  # enough for bands and intervals that are looked at
SPECTRUM = 20  # eigenvalues that a chart shows


def analyze(
    checkpoint: Checkpoint, *, split: str = "train", path: str | None = None, curves: bool = False
) -> Observation:
    """Measure everything of one checkpoint; a part that its content does not allow is None.

    split: ignored, as an observation is of the whole file. curves: also the spectrum, the density
    and the bands that only the terminal UI draws.

    Raises InputError where the numbers themselves are bad.
    """
    del split
    absent: dict[str, str] = {}
    return Observation(
        path=path,
        epoch=checkpoint.metadata.epoch,
        train=_part("train", absent, lambda: collapse.analyze(checkpoint, split="train")),
        test=_part("test", absent, lambda: collapse.analyze(checkpoint, split="test")),
        calibration=_part("calibration", absent, lambda: _calibration(checkpoint, curves)),
        hessian=_part("hessian", absent, lambda: _hessian(checkpoint, curves)),
        absent=tuple(absent.items()),
    )


def observe(path: Path, *, curves: bool = False, cached: bool = False) -> Observation:
    """Measure a file, as `analyze` does, or recall what is kept of it beside the run.

    Raises InputError where the file cannot be read, or its numbers are bad.
    """
    work = observing(curves=curves, cached=cached)
    found = (recall(path, work) if cached else None) or work(path)
    if isinstance(found[0], InputError):
        raise found[0]
    observation: Observation = found[0]
    return observation


def _part(name: str, absent: dict[str, str], measure: Callable[[], Part]) -> Part | None:
    try:
        return measure()
    except ContentError as error:
        if error.source is not None:  # the reader's: the numbers themselves are bad
            raise
        absent[name] = "; ".join(filter(None, [error.problem, error.remedy]))
        return None


def _calibration(checkpoint: Checkpoint, curves: bool) -> calibration.CalibrationReport:
    split = preferred_split(checkpoint, SCORED)
    resamples = RESAMPLES if curves else 0  # the bands of the diagrams
    return calibration.analyze(checkpoint, split=split, resamples=resamples)


def _hessian(checkpoint: Checkpoint, curves: bool) -> HessianReport:
    split = preferred_split(checkpoint, CURVED)
    more: dict[str, Any] = {}
    if curves:
        more = {"top": SPECTRUM, "spectra": ("w",), "density": ("w",), "probes": 2, "steps": 20}
    return hessian.analyze(checkpoint, split=split, **more)


def observe_run(
    path: str | os.PathLike[str], *, cached: bool = False
) -> tuple[Trajectory, list[InputError]]:
    """Measure every checkpoint of a run directory; unreadable ones are returned as errors.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> trajectory, errors = nccli.observe_run(run)
    >>> trajectory.group, trajectory.seed, errors
    ('LS 0.05', 0, [])
    >>> {epoch: f"{nc1:.1e}" for epoch, nc1 in trajectory.series("train.nc1").items()}
    {1: '1.1e+00', 10: '2.8e-02', 50: '2.4e-03', 100: '3.5e-02', 200: '9.9e-04'}
    """
    run = read_run(path)
    observations, problems = [], []
    for file in run.checkpoints:
        try:
            observations.append(observe(file, cached=cached))
        except InputError as error:
            problems.append(error)
    return trajectory(run.name, observations), problems
