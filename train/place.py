"""Where a run is computed and where its data lie: nothing here changes what is trained."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from nccli.errors import UsageError
from train.words import check_choice

AUTO = "auto"
DEVICES = (AUTO, "cpu", "cuda")
NVIDIA = Path("/dev/nvidiactl")  # there where a driver is; asking torch would cost two seconds
VISIBLE = "CUDA_VISIBLE_DEVICES"
_NAME = re.compile(r"\d+$|GPU-|MIG-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A device, and the folder with the data sets. Raises UsageError on what cannot be."""

    device: str = AUTO  # cuda where there is one
    data_root: Path = Path("data")
    download: bool = False  # fetch a data set that is not there
    cuda_graph: bool = True  # a step as one launch, where a GPU trains on data that lie there
    compiled: bool = False  # the step's kernels fused by torch.compile
    threads: int = 1  # of the CPU for a run; sums in another order give other last bits

    def __post_init__(self) -> None:
        check_choice("device", self.device, DEVICES)
        if self.threads < 1:
            raise UsageError(f"there must be at least 1 thread, got {self.threads}")

    @property
    def wants_gpu(self) -> bool:
        """Whether a GPU will be used where the driver's word can be taken."""
        return self.device == "cuda" or (self.device == AUTO and NVIDIA.exists() and bool(gpus()))


def gpus() -> list[str]:
    """Return the GPUs that may be used, by the names that CUDA_VISIBLE_DEVICES takes.

    As CUDA does, up to the first name that is none: -1, nothing and the like hide the GPUs.
    """
    if VISIBLE in os.environ:
        names = [name.strip() for name in os.environ[VISIBLE].split(",")]
        return list(itertools.takewhile(_NAME.match, names))
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def started_by_torchrun() -> bool:
    """Tell whether this process is one of several that torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_follower() -> bool:
    """Tell whether it is one of those that write nothing and say nothing."""
    return started_by_torchrun() and int(os.environ.get("RANK", "0")) > 0
