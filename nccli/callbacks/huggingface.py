"""A callback of Hugging Face's Trainer that writes a run directory; imports transformers.

from nccli.callbacks.huggingface import Recorder
trainer = Trainer(..., callbacks=[Recorder("runs/mine", train=data, test=test_data, every=10)])
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nccli.callbacks.batches import Collate, loader_of
from nccli.callbacks.recording import RunRecording, Schedule
from nccli.errors import MissingExtraError, UsageError

try:
    from transformers import (
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
        default_data_collator,
    )
except ModuleNotFoundError:
    raise MissingExtraError(
        "transformers is not installed", remedy="pip install 'nccli[huggingface]'"
    ) from None


def _epoch(state: TrainerState) -> int:
    """Return the epoch that goes on or has just ended, counted from 1."""
    return math.ceil(round(state.epoch or 0.0, 6))


class Recorder(TrainerCallback):
    """Records epochs of `Trainer.train` as checkpoints of a run directory.

    train, test: a data set of dicts with `labels` (or `label`), or a loader of such batches;
    neither shuffled nor augmented, since they are taken as they come. collate: makes batches of a
    data set, where the samples' tensors are not all of one shape.
    every, or epochs: which epochs, counted from 1; the last one always.
    layer: the name of the last linear layer; found where the model's logits are its output.
    batch_size: of batches that are made of a data set. append: go on with a run.
    said: fields of nccli.Metadata, such as dataset. The seed and label smoothing are read from the
    Trainer's arguments (no smoothing is told as cross-entropy; loss= for a loss of your own), the
    weight decay from the optimizer (AdamW's, the default, is no penalty and is left out), the
    architecture is the model's class.

    Features (N, d) are the layer's input in eval mode, as the Trainer evaluates: with fp16 or bf16
    in that precision. Modes, hooks and the random state are as before afterwards. Layer and data
    are tried before the first epoch. With several processes, rank zero alone measures and writes,
    the others wait for it at their next step, no longer than their process group's timeout.
    Sharded models are refused.

    Errors are raised and end the training, as UsageError, ContentError or TrainingError; a full
    disk is a warning only. The Trainer does not tell callbacks of errors: the run is marked as
    failed when the process ends, or by close().
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
        collate: Collate = default_data_collator,
        append: bool = False,
        **said: Any,
    ) -> None:
        loaders = {
            split: loader_of(data, split=split, batch_size=batch_size, collate=collate)
            for split, data in (("train", train), ("test", test))
            if data is not None
        }
        schedule = Schedule(every=every, epochs=epochs)
        self._recording = RunRecording(
            run, loaders, schedule=schedule, layer=layer, append=append, said=said
        )

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **words: Any,
    ) -> None:
        """Open the run, once a batch of each split has gone through the model."""
        if args.fsdp or args.deepspeed:
            raise UsageError(
                "a model that is sharded over processes cannot be recorded",
                remedy="train without FSDP and DeepSpeed, or use nccli.recorder",
            )
        if state.is_world_process_zero:
            self._recording.begin(
                words["model"],
                [words["optimizer"]],
                seed=args.seed,
                label_smoothing=args.label_smoothing_factor,
            )

    def on_epoch_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **words: Any,
    ) -> None:
        """Record the epoch where it is due; one that max_steps cuts short counts as a whole."""
        if state.is_world_process_zero:
            last = control.should_training_stop
            self._recording.epoch_ended(words["model"], _epoch(state), last=last)

    def on_evaluate(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **words: Any,
    ) -> None:
        """Record the epoch where early stopping makes it the last."""
        # At the end it may be too late: load_best_model_at_end has changed the weights by then.
        # In the middle of an epoch, its end is still to come.
        if control.should_training_stop and self._recording.lacks_last == _epoch(state):
            self._recording.record(words["model"])

    on_save = on_evaluate  # an EarlyStoppingCallback behind this one has spoken by then

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **words: Any,
    ) -> None:
        """Record the last epoch where that is not done, and close the run."""
        if not args.load_best_model_at_end:
            self._recording.record(words["model"])
        elif self._recording.lacks_last is not None:
            warnings.warn(
                f"epoch {self._recording.lacks_last}, the last, is not recorded: the best model "
                "has taken its place; put the recorder behind EarlyStoppingCallback",
                RuntimeWarning,
                stacklevel=2,
            )
        self._recording.finish()

    def close(self, error: BaseException | None = None) -> None:
        """Mark a run as failed whose training raised, in a process that goes on."""
        self._recording.fail(error or RuntimeError("the training ended early"))
