"""Several processes that train one network together, as `torchrun` starts them.

Each takes its share of every batch and its own GPU; gradients are averaged, so the steps are those
of one process with the whole batch (BatchNorm's statistics too, on GPUs: SyncBatchNorm). The first
process alone writes the run; the others follow it.

    torchrun --nproc-per-node 4 -m nccli train --data imagenet --data-root /data/imagenet
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from nccli.errors import TrainingError, UsageError
from train.networks import Network
from train.place import started_by_torchrun

PATIENCE = timedelta(hours=2)  # of those that wait while the first one captures and writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The processes of a run: this one's number, and how many there are."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"  # of what they tell each other

    @property
    def alone(self) -> bool:
        """Whether there is but one process."""
        return self.size == 1

    @property
    def writes(self) -> bool:
        """Whether this process writes the run directory."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """This process's places in every batch."""
        return slice(self.rank, None, self.size)

    def check(self, batch_size: int) -> None:
        """Raise UsageError on a batch that cannot be shared out evenly."""
        if batch_size % self.size:
            raise UsageError(
                f"a batch of {batch_size} cannot be shared out among {self.size} processes",
                remedy="give a multiple as --batch-size",
            )

    def together(self, network: Network) -> nn.Module:
        """Return a module that gives features and logits, and whose gradients are averaged."""
        both = _Both(network)
        if self.alone:
            return both
        if next(network.parameters()).is_cuda:
            both = nn.SyncBatchNorm.convert_sync_batchnorm(both)  # type: ignore[no-untyped-call]
        return nn.parallel.DistributedDataParallel(both, gradient_as_bucket_view=True)

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if not self.alone:
            distributed.all_reduce(numbers)
        return numbers

    def agree(self, stop: bool) -> bool:
        """Tell whether any process wants to stop; every one gets the same answer."""
        if self.alone:
            return stop
        return bool(self.total(torch.tensor(float(stop), device=self.device)).item())

    def told(self, word: Any) -> Any:
        """Return what the first process says, in every process."""
        if self.alone:
            return word
        words = [word]
        distributed.broadcast_object_list(words, src=0)
        return words[0]


class _Both(nn.Module):
    """`Network.both` as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and logits."""
        return self.network.both(images)


@contextlib.contextmanager
def teamwork(device: str) -> Iterator[Team]:
    """Join the processes that torchrun started, if it did; yield the team.

    They stay joined for all runs of a command: joining anew, they meet at the addresses of the
    last time, and may wait there for ever. Raises TrainingError where another process of the team
    ends before its time.
    """
    if not started_by_torchrun():
        yield Team(device=device)
        return
    _join(device)
    rank, size = distributed.get_rank(), distributed.get_world_size()
    try:
        yield Team(rank=rank, size=size, device=device)
        distributed.barrier()  # none leaves while another still talks: it would be aborted
    except RuntimeError as error:
        if not any(word in str(error).lower() for word in ("connection", "gloo", "nccl")):
            raise
        raise TrainingError(
            "another process of this run has ended",
            remedy="see what it said, then give the same command again, nccli train with --resume",
        ) from None


def _join(device: str) -> None:
    if distributed.is_initialized():
        return
    if device == "cuda":
        here, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if here >= count:
            raise UsageError(
                f"process {here + 1} of this machine has no GPU of its own: there are {count}",
                remedy=f"torchrun --nproc-per-node {count}",
            )
        torch.cuda.set_device(here)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    atexit.register(distributed.destroy_process_group)
