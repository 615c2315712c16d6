"""What all callbacks share: when to record, what, and how a run ends."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nccli import recording
from nccli.callbacks.measuring import decay_of, find_layer, measure
from nccli.errors import TrainingError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The epochs to record, counted from 1; the last is always one of them."""

    every: int = 1
    epochs: Collection[int] | None = None  # in place of `every`

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise UsageError(f"every= must be a whole number from 1 on, got {self.every!r}")

    def due(self, epoch: int) -> bool:
        """Tell whether an epoch is to be recorded."""
        return epoch % self.every == 0 if self.epochs is None else epoch in self.epochs


class RunRecording:
    """One training, from its begin to its end, as a run directory."""

    def __init__(
        self,
        run: str | Path,
        loaders: dict[str, Any],
        *,
        schedule: Schedule,
        layer: str | None,
        append: bool,
        said: dict[str, Any],
    ) -> None:
        self._run = Path(run)
        self._loaders = loaders
        self._schedule = schedule
        self._layer_name = layer
        self._append = append
        self._said = said
        self._open: AbstractContextManager[recording.Recorder] | None = None
        self._done = self._recorded = 0

    def begin(self, model: nn.Module, optimizers: list[Any], **found: Any) -> None:
        """Look for the layer and open the run; found: metadata where the user said nothing.

        Raises UsageError where layer or data are of no use, or the run has checkpoints already,
        TrainingError where another process writes it.
        """
        self.fail(TrainingError("it did not come to its end before another training began"))
        self._layer = find_layer(model, self._loaders, self._layer_name)
        found["weight_decay"] = decay_of(optimizers, self._layer)
        smoothing = self._said.get("label_smoothing", found.get("label_smoothing"))
        if smoothing is not None:
            found["loss"] = "label-smoothing" if smoothing else "cross-entropy"
        found.setdefault("architecture", type(model).__name__)
        opened = recording.recorder(self._run, append=self._append, **(found | self._said))
        self._record = opened.__enter__()
        self._open = opened
        self._done = self._recorded = 0
        atexit.register(self._left)

    def epoch_ended(self, model: nn.Module, epoch: int, *, last: bool) -> None:
        """Record an epoch that is due, or known to be the last. Raises NccliError."""
        self._done = epoch
        if last or self._schedule.due(epoch):
            self.record(model)

    @property
    def lacks_last(self) -> int | None:
        """The epoch that ended last, where it is not recorded."""
        return self._done if self._open is not None and self._done > self._recorded else None

    def record(self, model: nn.Module) -> None:
        """Record the epoch that ended last, once. Raises NccliError."""
        if self.lacks_last is None:
            return
        try:
            splits = {
                split: measure(model, self._layer, loader, split=split)
                for split, loader in self._loaders.items()
            }
            weight, bias = self._layer.weight, self._layer.bias
            self._record(self._done, weight=weight, bias=bias, **splits)
        except BaseException as error:
            self.fail(error)  # at once: not every trainer tells its callbacks of it
            raise
        self._recorded = self._done

    def finish(self) -> None:
        """Mark the run as finished."""
        if self._open is not None:
            opened, self._open = self._open, None
            atexit.unregister(self._left)
            opened.__exit__(None, None, None)

    def fail(self, error: BaseException) -> None:
        """Mark a run that is open as interrupted or failed, with the message."""
        if self._open is not None:
            opened, self._open = self._open, None
            atexit.unregister(self._left)
            opened.__exit__(type(error), error, error.__traceback__)

    def _left(self) -> None:
        # Not every trainer tells its callbacks of an error: the process ends, and the run is open.
        error = getattr(sys, "last_value", None)
        self.fail(error or TrainingError("the process ended before the training"))
