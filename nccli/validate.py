"""Is a file a sound checkpoint? Header, every number, and what the numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nccli.checkpoint import Checkpoint
from nccli.errors import InputError
from nccli.hdf5 import read_checkpoint
from nccli.logits import load_labels
from nccli.result import quantity
from nccli.text import shortlist


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What `nccli check` found in one file."""

    path: str = quantity("file", default="")
    ok: bool = quantity("ok", "the file can be analysed", default=False)
    problem: str | None = quantity("problem", "what is wrong")
    remedy: str | None = quantity("remedy", "how to mend it")
    epoch: int | None = quantity("epoch")
    num_classes: int | None = quantity("K", "number of classes")
    dim: int | None = quantity("d", "number of features")
    splits: tuple[str, ...] = quantity("splits", "with their sample counts", default=())
    classifier: bool | None = quantity("classifier", "the file holds classifier/weight")
    notes: tuple[str, ...] = quantity("notes", "what is unusual but usable", default=())

    @property
    def message(self) -> str:
        """The problem as the one line that every command prints."""
        return str(InputError(self.problem or "", source=self.path, remedy=self.remedy))


def validate(item: Path | InputError) -> Finding:
    """Read a file in full and tell what is wrong with it, if anything."""
    try:
        if isinstance(item, InputError):
            raise item
        return _sound(item)
    except InputError as error:
        return Finding(
            path=error.source or str(item), problem=error.problem, remedy=error.remedy, ok=False
        )
    except MemoryError:
        return Finding(path=str(item), problem="does not fit into memory", ok=False)


def _sound(path: Path) -> Finding:
    checkpoint = read_checkpoint(path)
    _read_everything(checkpoint)
    return Finding(
        path=str(path),
        ok=True,
        epoch=checkpoint.metadata.epoch,
        num_classes=checkpoint.num_classes,
        dim=checkpoint.dim,
        splits=tuple(f"{name} {split.count}" for name, split in checkpoint.splits.items()),
        classifier=checkpoint.classifier is not None,
        notes=tuple(_notes(checkpoint)),
    )


def _read_everything(checkpoint: Checkpoint) -> None:
    """Fetch every array once: the reader refuses what is not finite."""
    if checkpoint.classifier is not None:
        checkpoint.classifier.arrays()
    for split in checkpoint.splits.values():
        for array in (split.features, split.logits):
            if array is not None:
                for _ in array.blocks():
                    pass


def _notes(checkpoint: Checkpoint) -> list[str]:
    notes = []
    for name in checkpoint.splits:
        counts = np.bincount(load_labels(checkpoint, name), minlength=checkpoint.num_classes)
        absent = np.flatnonzero(counts == 0).tolist()
        if absent:
            notes.append(f"no samples of class {shortlist(absent)} in {name}")
    if checkpoint.classifier is None:
        notes.append("no classifier: NC2 of the classifier, NC3 and the Hessian are undefined")
    return notes
