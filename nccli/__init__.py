"""nccli: neural collapse, last-layer conditioning and calibration of saved checkpoints.

    import nccli

    checkpoint = nccli.read_checkpoint("epoch-00010.h5")
    report = nccli.collapse.analyze(checkpoint, split="train")
    print(report.nc1, report.nc3, report.notes)

Everything is imported when it is first used: `import nccli` alone costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nccli import calibration, collapse, hessian, ufm
    from nccli.calibration_report import CalibrationReport
    from nccli.checkpoint import Checkpoint, Metadata
    from nccli.collapse_report import CollapseReport
    from nccli.errors import NccliError
    from nccli.hdf5 import read_checkpoint, write_checkpoint
    from nccli.hessian_report import HessianReport
    from nccli.observe import observe_run
    from nccli.recording import Recorder, recorder
    from nccli.runs import read_run
    from nccli.sample import sample_data_path
    from nccli.validate import validate as check

__all__ = [
    "CalibrationReport",
    "Checkpoint",
    "CollapseReport",
    "HessianReport",
    "Metadata",
    "NccliError",
    "Recorder",
    "__version__",
    "calibration",
    "check",
    "collapse",
    "hessian",
    "observe_run",
    "read_checkpoint",
    "read_run",
    "recorder",
    "sample_data_path",
    "ufm",
    "write_checkpoint",
]

_MODULES = ("calibration", "collapse", "hessian", "ufm")
_HOMES = {
    "CalibrationReport": "calibration_report",
    "Checkpoint": "checkpoint",
    "CollapseReport": "collapse_report",
    "HessianReport": "hessian_report",
    "Metadata": "checkpoint",
    "NccliError": "errors",
    "Recorder": "recording",
    "observe_run": "observe",
    "read_checkpoint": "hdf5",
    "read_run": "runs",
    "recorder": "recording",
    "sample_data_path": "sample",
    "write_checkpoint": "hdf5",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "check":
        return importlib.import_module(f"{__name__}.validate").validate
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
