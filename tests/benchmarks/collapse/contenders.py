"""Who takes part: nccli, the yardsticks, the floor; by name, so that a fresh process finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yardsticks
from yardsticks import Metrics

from nccli.collapse import analyze
from nccli.hdf5 import read_checkpoint

SCORES = ("nc1", "nc2_features", "nc2_classifier", "nc2_duality", "nc3", "nc4")
NCCLI = "nccli"
LEAN = "nccli without loss"  # every_logit=False: the loss and non-target spread need all logits
PEER = "rhubarbwu (numpy)"
PEER_TORCH = "rhubarbwu (torch)"
FLOORS = ("floor: read 2x + GEMM", "floor: map 2x + GEMM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One row of the table: reads the file and returns its scores (none for floors)."""

    name: str
    run: Callable[[Path], Metrics]


def contenders(*, with_torch: bool = False) -> list[Contender]:
    """Return all rows of the table, in its order."""
    rows: dict[str, Callable[[Path], Metrics]] = {
        NCCLI: partial(_nccli, threads=1),
        LEAN: partial(_nccli, threads=1, every_logit=False),
        PEER: yardsticks.rhubarbwu,
        PEER_TORCH: _torch,
        "naive float64": yardsticks.naive,
        "only reading": yardsticks.only_reading,
        FLOORS[0]: yardsticks.floor_reading,
        FLOORS[1]: yardsticks.floor_mapping,
    }
    if not with_torch:
        del rows[PEER_TORCH]
    return [Contender(name=name, run=run) for name, run in rows.items()]


def _nccli(path: Path, **options: Any) -> Metrics:
    report = analyze(read_checkpoint(path), split="train", **options)
    return {name: getattr(report, name) for name in SCORES}


def _torch(path: Path) -> Metrics:
    from torch_yardstick import rhubarbwu_torch  # importing torch costs 2 s: only when asked

    return rhubarbwu_torch(path)
