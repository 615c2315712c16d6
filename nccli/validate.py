"""Is a file a sound checkpoint? What it is, how it is built, its bytes, and what they mean."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from nccli.checkpoint import BLOCK_BYTES, Checkpoint
from nccli.errors import (
    ContentError,
    FormatError,
    IdentityError,
    InputError,
    NotFoundError,
    ShapeError,
    locate_errors,
)
from nccli.hdf5 import Described, checkpoint_of, computed_hash, describe, newer_minor
from nccli.logits import load_labels
from nccli.result import quantity
from nccli.text import plural, shortlist

Verdict = Literal["ok", "failed", "not checked"]

# Our own: bfloat16 logits are right to 0.4 %, those of another layer or epoch off by far more.
LOGITS_TOLERANCE = 0.05

_MENDED = "restore the file from where it came from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What `nccli check` found in one file. Of the four levels, each needs the ones before it."""

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
    identity: Verdict = quantity(
        "identity", "an HDF5 file that says it is a checkpoint, of a version that is read",
        default="not checked",
    )  # fmt: skip
    structure: Verdict = quantity(
        "structure", "names, links, types, shapes and storage are those of the format",
        default="not checked",
    )  # fmt: skip
    integrity: Verdict = quantity(
        "integrity", "with --verify: the content is what was written (content_sha256)",
        default="not checked",
    )  # fmt: skip
    semantics: Verdict = quantity(
        "semantics", "numbers are finite, labels are classes", default="not checked"
    )
    content_sha256: str | None = quantity("content_sha256", "what the file says of its content")

    @property
    def message(self) -> str:
        """The problem as the one line that every command prints."""
        return str(InputError(self.problem or "", source=self.path, remedy=self.remedy))


def validate(
    item: str | os.PathLike[str] | InputError, *, verify: bool = False, strict: bool = False
) -> Finding:
    """Read a file in full and tell what is wrong with it, if anything.

    verify: also recompute its content hash; a file that carries none fails.
    strict: what is unusual but usable fails too.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> finding = nccli.check(run / "checkpoints" / "epoch-00200.h5", verify=True)
    >>> finding.ok, finding.integrity, finding.splits
    (True, 'ok', ('train 1000', 'test 797'))
    """
    if isinstance(item, InputError):
        return _failed(Finding(path=item.source or ""), item)
    item = Path(item)
    finding = Finding(path=str(item))
    try:
        described = describe(item)
        finding = replace(
            finding,
            identity="ok",
            epoch=described.metadata.epoch,
            content_sha256=described.content_sha256,
        )
        if verify:  # before any number is judged
            _verify(item, described)
            finding = replace(finding, integrity="ok")
        checkpoint = checkpoint_of(described, item)
        finding = _described(finding, checkpoint)
        notes = (*newer_minor(described), *_meaning(checkpoint, item))
    except InputError as error:
        return _failed(finding, error)
    except MemoryError:
        return _failed(finding, FormatError("does not fit into memory"))
    finding = replace(finding, ok=True, semantics="ok", notes=notes)
    if strict and notes:
        problem = ContentError("; ".join(notes), remedy="without --strict it counts as usable")
        return _failed(finding, problem)
    return finding


def _failed(finding: Finding, error: InputError) -> Finding:
    """Return a finding with the error, and the level that failed."""
    finding = replace(finding, ok=False, problem=error.problem, remedy=error.remedy)
    if isinstance(error, (NotFoundError, IdentityError)):
        return replace(finding, identity="failed")
    if isinstance(error, _IntegrityError):
        return replace(finding, integrity="failed")
    finding = replace(finding, identity="ok")
    if isinstance(error, (FormatError, ShapeError)):
        return replace(finding, structure="failed")
    return replace(finding, structure="ok", semantics="failed")


class _IntegrityError(FormatError):
    pass


def _described(finding: Finding, checkpoint: Checkpoint) -> Finding:
    return replace(
        finding,
        structure="ok",
        num_classes=checkpoint.num_classes,
        dim=checkpoint.dim,
        splits=tuple(f"{name} {split.count}" for name, split in checkpoint.splits.items()),
        classifier=checkpoint.classifier is not None,
    )


def _verify(path: Path, described: Described) -> None:
    with locate_errors(path):
        if described.content_sha256 is None:
            raise _IntegrityError(
                "carries no content_sha256, so nothing tells whether it is as it was written",
                remedy="files of format 1.1 and later do; check it without --verify",
            )
        found = computed_hash(described)
        if found != described.content_sha256:
            raise _IntegrityError(
                "its content is not what was written (content_sha256 is "
                f"{described.content_sha256[:12]}, its content gives {found[:12]})",
                remedy=_MENDED,
            )


# --- what the numbers mean ------------------------------------------------------------------------


def _meaning(checkpoint: Checkpoint, path: Path) -> list[str]:
    """Fetch every number once (the reader refuses what is not finite); tell what is unusual."""
    notes = []
    with locate_errors(path):
        if checkpoint.classifier is not None:
            checkpoint.classifier.arrays()
        for name in checkpoint.splits:
            counts = np.bincount(load_labels(checkpoint, name), minlength=checkpoint.num_classes)
            absent = np.flatnonzero(counts == 0).tolist()
            if absent:
                notes.append(f"no samples of class {shortlist(absent)} in {name}")
            notes += _numbers(checkpoint, name)
    if checkpoint.classifier is None:
        notes.append("no classifier: NC2 of the classifier, NC3 and the Hessian are undefined")
    return notes


def _numbers(checkpoint: Checkpoint, name: str) -> list[str]:
    """Read features and logits side by side; do the logits come of the features?"""
    split = checkpoint.split(name)
    if split.logits is None or checkpoint.classifier is None:
        for array in (split.features, split.logits):
            for _ in array.blocks() if array is not None else ():
                pass
        return []
    weight, bias = checkpoint.classifier.arrays()
    wrong, first = 0, None
    step = max(1, BLOCK_BYTES // (8 * max(checkpoint.dim, checkpoint.num_classes)))
    sides = (array.stream(0, split.count, step) for array in (split.features, split.logits))
    for (start, features), (_, logits) in zip(*sides, strict=True):
        expected = features.astype(np.float64) @ weight.T + bias
        off = np.linalg.norm(logits - expected, axis=1)
        size = np.linalg.norm(expected, axis=1)
        far = np.flatnonzero(off > LOGITS_TOLERANCE * np.maximum(size, size.mean()))
        wrong += far.size
        if far.size and first is None:
            first = start + int(far[0])
    if not wrong:
        return []
    return [
        f"{name}/logits are not features W^T + b in {plural(wrong, 'row')} (first in row {first}): "
        "of another epoch, layer or order?"
    ]
