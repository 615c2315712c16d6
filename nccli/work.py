"""What is to be computed of a checkpoint: small and picklable, so that any process can do it.

Nothing heavy is imported here. The modules that compute are named, and imported when the first
file is worked on: a batch whose answers all stand in the cache never pays for numpy or HDF5.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nccli.batch import CURVED, SCORED
from nccli.errors import InputError
from nccli.reader.asking import start


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """An analysis of one split: where it lives, and how it wants to be called."""

    module: str  # has analyze(checkpoint, *, split, path, **options) -> result or list of them
    report: str  # "module:class" of the result
    preferred: tuple[str, ...] = ()  # the split where none is asked for; all where none is here
    passes: int = 0  # takes `known` and `workers`, and runs through the rows as often as this
    threaded: bool = False  # takes `threads`, the number of cores, and `watch`

    def function(self) -> Any:
        """Return its analyze()."""
        return importlib.import_module(self.module).analyze

    def result_type(self) -> Any:
        """Return the class of its results."""
        module, name = self.report.split(":")
        return getattr(importlib.import_module(module), name)


ANALYSES = {
    "collapse": Analysis(
        module="nccli.collapse", report="nccli.collapse_report:CollapseReport", passes=2
    ),
    "sampled": Analysis(
        module="nccli.collapse.intervals", report="nccli.collapse.intervals:SampledReport", passes=2
    ),
    "classes": Analysis(
        module="nccli.collapse.classes", report="nccli.collapse.classes:ClassReport", passes=2
    ),
    "gram": Analysis(
        module="nccli.collapse.gram", report="nccli.collapse.gram:GramReport", passes=1
    ),
    "calibration": Analysis(
        module="nccli.calibration",
        report="nccli.calibration_report:CalibrationReport",
        preferred=SCORED,
        threaded=True,
    ),
    "class_calibration": Analysis(
        module="nccli.calibration.classes",
        report="nccli.calibration.classes:ClassCalibration",
        preferred=SCORED,
        threaded=True,
    ),
    "paired_calibration": Analysis(
        module="nccli.calibration.paired",
        report="nccli.calibration.paired:ResampledReport",
        preferred=SCORED,
        threaded=True,
    ),
    "relations": Analysis(
        module="nccli.calibration.relations",
        report="nccli.calibration.relations:RelationReport",
        preferred=SCORED,
        threaded=True,
    ),
    "hessian": Analysis(
        module="nccli.hessian",
        report="nccli.hessian_report:HessianReport",
        preferred=CURVED,
        threaded=True,
    ),
    # of the whole file: any split will do, and it is asked once
    "observation": Analysis(
        module="nccli.observe", report="nccli.trajectory:Observation", preferred=("train",)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One analysis with its options; called with a path, it gives the results of that file."""

    analysis: str  # a key of ANALYSES
    split: str | None = None  # a name, "all", or None for what the analysis prefers
    options: Mapping[str, Any] = field(default_factory=dict)  # JSON values that change numbers
    threads: int | None = None  # of one analysis; changes no number
    cached: bool = False  # keep the results beside the run, and let `recall` find them
    watch: Callable[[int, int | None], None] | None = None  # told of rows done, and of all

    def __call__(self, path: Path) -> list[Any | InputError]:
        """Return one result a split, an InputError in the place of one that cannot be used."""
        start()  # it imports the HDF5 library while this process imports the rest
        found: list[Any | InputError] = importlib.import_module("nccli.answer").answer(path, self)
        return found

    @property
    def description(self) -> Analysis:
        """How this analysis is called."""
        return ANALYSES[self.analysis]


def observing(*, curves: bool = False, cached: bool = False) -> Work:
    """Return what is to be done with a file to observe it, as `nccli.observe` does."""
    return Work(analysis="observation", options={"curves": curves}, cached=cached)
