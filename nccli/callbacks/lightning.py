"""A callback of Lightning that writes a run directory; imports lightning or pytorch_lightning.

from nccli.callbacks.lightning import Recorder
trainer = Trainer(callbacks=[Recorder("runs/mine", train=loader, test=test_loader, every=10)])
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.callbacks.batches import loader_of
from nccli.callbacks.recording import RunRecording, Schedule
from nccli.errors import MissingExtraError, UsageError

NAMES = ("lightning.pytorch", "pytorch_lightning")  # two packages with the same classes
SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy")


def _package() -> Any:
    """Return the package that the user's program has imported already, or one that is there."""
    for name in sorted(NAMES, key=lambda one: one not in sys.modules):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            pass
    raise MissingExtraError("Lightning is not installed", remedy="pip install 'nccli[lightning]'")


if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    Callback = _package().Callback


class Recorder(Callback):
    """Records epochs of `trainer.fit` as checkpoints of a run directory.

    train, test: a data set of (inputs, labels), or a loader of such batches; neither shuffled nor
    augmented, since they are taken as they come. Dicts with `labels` are given by their names.
    every, or epochs: which epochs, counted from 1; the last one always.
    layer: the name of the last linear layer; found where the module's forward() returns its output.
    batch_size: of batches that are made of a data set. append: go on with a run.
    said: fields of nccli.Metadata: label_smoothing (0.0 tells cross-entropy), dataset, ... The
    seed is read from `seed_everything`, the weight decay from the optimizer (AdamW's is no penalty
    and is left out), the architecture is the module's class.

    Features (N, d) are the layer's input in eval mode, in the parameters' type; modes, hooks and
    the random state are as before afterwards. Layer and data are tried before the first epoch.
    With several processes, rank zero alone measures and writes, the others wait for it at their
    next step, no longer than their process group's timeout. Sharded models are refused.

    Errors are raised and end the training, as UsageError, ContentError or TrainingError; a full
    disk is a warning only.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        train: Any,
        test: Any = None,
        every: int = 1,
        epochs: Collection[int] | None = None,
        layer: str | None = None,
        batch_size: int = 256,
        append: bool = False,
        **said: Any,
    ) -> None:
        loaders = {
            split: loader_of(data, split=split, batch_size=batch_size)
            for split, data in (("train", train), ("test", test))
            if data is not None
        }
        schedule = Schedule(every=every, epochs=epochs)
        self._recording = RunRecording(
            run, loaders, schedule=schedule, layer=layer, append=append, said=said
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the run, once a batch of each split has gone through the module."""
        kinds = {kind.__name__ for kind in type(trainer.strategy).__mro__}
        if kinds & set(SHARDED):
            raise UsageError(
                "a model that is sharded over processes cannot be recorded",
                remedy="train with strategy='ddp', or use nccli.recorder in a loop of your own",
            )
        if trainer.is_global_zero:
            seed = os.environ.get("PL_GLOBAL_SEED")  # where seed_everything leaves it
            self._recording.begin(
                pl_module, list(trainer.optimizers), seed=None if seed is None else int(seed)
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch where it is due."""
        if trainer.is_global_zero:
            epoch = trainer.current_epoch + 1
            # here, and not at the end, since weight averaging changes the weights there; what
            # should_stop asks for, min_epochs may overrule
            self._recording.epoch_ended(pl_module, epoch, last=epoch == trainer.max_epochs)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the last epoch where that is not done, and close the run."""
        if trainer.is_global_zero:
            self._recording.record(pl_module)
            self._recording.finish()

    def on_exception(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        exception: BaseException,
    ) -> None:
        """Mark the run as interrupted or failed."""
        self._recording.fail(exception)
