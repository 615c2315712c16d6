"""The steps of an epoch, one after the other: plainly here, as one CUDA graph in `train.graphs`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from train.feed import Plan


@dataclass(slots=True, kw_only=True)
class Totals:
    """What the steps of an epoch add up to; on the device, so that no step waits for it."""

    loss: Tensor  # () float32, the sum over the batches
    correct: Tensor  # () int64

    @classmethod
    def zero(cls, device: torch.device) -> Totals:
        """Return totals of no step."""
        count = torch.zeros((), dtype=torch.int64, device=device)
        return cls(loss=torch.zeros((), device=device), correct=count)


Step = Callable[[Tensor, Tensor | None, Totals], None]


class Steps(Protocol):
    """A way to take all steps of an epoch."""

    def run(self, plan: Plan, rate: float) -> Totals:
        """Take every step of the plan at a learning rate."""


class EagerSteps:
    """Step by step: what happens, as it is written."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def run(self, plan: Plan, rate: float) -> Totals:  # noqa: ARG002 (the optimiser knows it)
        """Take every step of the plan."""
        totals = Totals.zero(plan.rows.device)
        for at in range(plan.batches):
            self._step(plan.rows[at], None if plan.cuts is None else plan.cuts[at], totals)
        return totals
