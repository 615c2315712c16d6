"""What a run tells while it is going on, and how it ended; free of torch, small, picklable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Ending = Literal["finished", "skipped", "interrupted", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A run has done an epoch, or has something to warn of."""

    run: str  # its name
    epoch: int
    epochs: int
    warning: str | None = None
    needs: int | None = None  # bytes of the checkpoints that it is going to write, as it begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended; `message` says why where it did not finish."""

    path: Path
    ending: Ending
    message: str | None = None
    refused: bool = False  # a usage error: it never started


OnEvent = Callable[[Event], None]
OnOutcome = Callable[[Outcome], None]


def ignore(what: Event | Outcome) -> None:
    """Tell nobody."""
