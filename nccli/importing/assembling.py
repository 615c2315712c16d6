"""The arrays that were asked for, or found, become one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nccli.checkpoint import Metadata
from nccli.errors import ContentError, UsageError, locate_errors
from nccli.hdf5 import write_checkpoint
from nccli.importing.containers import Container, open_container
from nccli.importing.discovering import discover
from nccli.importing.shaping import Notes, as_features, as_floats, as_labels, as_weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to import. References are `NAME` of the input, `FILE`, or `FILE:NAME`."""

    source: Path | None = None
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # split: part: reference
    classifier: Mapping[str, str] = field(default_factory=dict)  # "weight", "bias": reference
    split: str = "train"  # of parts whose names tell none
    bfloat16: bool = False
    first_label: int = 0
    metadata: Metadata = Metadata()


def import_checkpoint(wanted: Wanted, out: Path) -> list[str]:
    """Write a checkpoint; return what was changed on the way, and what is unusual.

    Raises UsageError or InputError, naming the file that is at fault.
    """
    opened: dict[Path, Container] = {}
    parts, classifier = _references(wanted, opened)
    if not parts:
        raise UsageError("no features were named", remedy="--features NAME, FILE or FILE:NAME")
    notes: Notes = []
    names: tuple[str, ...] | None = wanted.metadata.class_names
    splits: dict[str, tuple[NDArray[Any], ...]] = {}
    for split, references in parts.items():
        arrays, found = _split(wanted, opened, split, references, notes)
        if found is not None and names is not None and found != names:
            raise ContentError(
                f"the labels of {split} are other words than those of the split before",
                remedy="number the classes in one order, and give --class-names",
            )
        splits[split], names = arrays, names or found
    dim = next(iter(splits.values()))[0].shape[1]
    weight, bias = _classifier(wanted, opened, classifier, dim, notes)
    write_checkpoint(
        out,
        splits=splits,
        weight=weight,
        bias=bias,
        metadata=replace(wanted.metadata, class_names=names),
    )
    return notes


def _references(
    wanted: Wanted, opened: dict[Path, Container]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """What was named, and for what was not, what the input's names say."""
    parts = {split: dict(references) for split, references in wanted.parts.items()}
    classifier = dict(wanted.classifier)
    if wanted.source is None:
        return parts, classifier
    container = _open(wanted.source, opened)
    with locate_errors(wanted.source):
        found, layer = discover(container.entries, wanted.split)
    found = found or _only(container, wanted.split)
    for split in parts or [name for name in found if "features" in found[name]]:
        parts[split] = found.get(split, {}) | parts.get(split, {})
    if not parts:
        raise UsageError(
            f"nothing in {wanted.source} is called features",
            remedy=f"--features NAME; it holds: {container.listed()}",
        )
    return parts, (layer | classifier)


def _only(container: Container, split: str) -> dict[str, dict[str, str]]:
    """The one matrix of a file that holds nothing else: features, whatever its name."""
    names = [name for name, entry in container.entries.items() if len(entry.shape) > 1]
    return {split: {"features": names[0]}} if len(container.entries) == len(names) == 1 else {}


def _open(path: Path, opened: dict[Path, Container]) -> Container:
    if path not in opened:
        opened[path] = open_container(path)
    return opened[path]


def _array(reference: str, wanted: Wanted, opened: dict[Path, Container]) -> NDArray[Any]:
    """Look up `NAME`, `FILE` or `FILE:NAME`."""
    if wanted.source is not None and reference.strip("/") in _open(wanted.source, opened).entries:
        return _open(wanted.source, opened).array(reference)
    file, colon, name = reference.rpartition(":")
    if colon and Path(file).is_file():
        return _open(Path(file), opened).array(name)
    if not Path(reference).is_file() and wanted.source is not None:
        return _open(wanted.source, opened).array(reference)  # says what there is
    container = _open(Path(reference), opened)
    if len(container.entries) != 1:
        raise UsageError(
            f"{reference} holds several arrays",
            remedy=f"say which, {reference}:NAME; it holds: {container.listed()}",
        )
    return container.array(next(iter(container.entries)))


def _split(
    wanted: Wanted,
    opened: dict[Path, Container],
    split: str,
    references: Mapping[str, str],
    notes: Notes,
) -> tuple[tuple[NDArray[Any], ...], tuple[str, ...] | None]:
    for part in ("features", "labels"):
        if part not in references:
            raise UsageError(f"no {part} of {split} were named", remedy=f"--{part} {split}=NAME")
    words = {part: f"{split}/{part}" for part in ("features", "labels", "logits")}
    features = as_features(_array(references["features"], wanted, opened), words["features"], notes)
    features = as_floats(features, words["features"], notes, bfloat16=wanted.bfloat16)
    labels, names = as_labels(
        _array(references["labels"], wanted, opened), words["labels"], notes,
        first=wanted.first_label,
    )  # fmt: skip
    if "logits" not in references:
        return (features, labels), names
    logits = _array(references["logits"], wanted, opened)
    logits = as_floats(logits, words["logits"], notes, bfloat16=wanted.bfloat16)
    return (features, labels, logits), names


def _classifier(
    wanted: Wanted,
    opened: dict[Path, Container],
    references: Mapping[str, str],
    dim: int,
    notes: Notes,
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    if "weight" not in references:
        if "bias" in references:
            raise UsageError("a bias was named and no weight", remedy="--weight NAME")
        return None, None
    weight = _array(references["weight"], wanted, opened)
    weight = as_floats(weight, "classifier/weight", notes, bfloat16=wanted.bfloat16)
    weight = as_weight(weight, dim, "classifier/weight", notes)
    if "bias" not in references:
        return weight, None
    bias = _array(references["bias"], wanted, opened)
    return weight, as_floats(bias.reshape(-1), "classifier/bias", notes, bfloat16=wanted.bfloat16)
