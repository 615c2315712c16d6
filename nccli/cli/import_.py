"""`nccli import`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.errors import DONE, NotFoundError, UsageError

if TYPE_CHECKING:
    from nccli.checkpoint import Metadata

REFERENCE = "NAME of the input, FILE or FILE:NAME"


def import_(
    source: Path | None = typer.Argument(
        None, metavar="[INPUT]", help=".npz, .npy, .safetensors, HDF5, CSV or Parquet."
    ),
    out: Path = typer.Option(
        ..., "--out", "-o", help="The checkpoint, FILE.h5; or a run directory, with --epoch."
    ),
    features: list[str] | None = typer.Option(
        None, metavar="[SPLIT=]REF", help=f"Features (N, d): {REFERENCE}. Repeat for splits."
    ),
    labels: list[str] | None = typer.Option(
        None, metavar="[SPLIT=]REF", help="Labels: class numbers, one-hot rows or names."
    ),
    logits: list[str] | None = typer.Option(None, metavar="[SPLIT=]REF", help="Logits (N, K)."),
    weight: str | None = typer.Option(None, metavar="REF", help="Classifier weight (K, d)."),
    bias: str | None = typer.Option(None, metavar="REF", help="Classifier bias (K,)."),
    split: str = typer.Option("train", help="The split of what names none."),
    labels_from: int = typer.Option(0, help="The number of the first class."),
    bfloat16: bool = typer.Option(False, "--bfloat16", help="16-bit words are bfloat16 bits."),
    loss: str | None = typer.Option(None, help="ce, ls, or any name."),
    smoothing: float | None = typer.Option(None, help="Label smoothing delta of the training."),
    epoch: int | None = typer.Option(None, min=0, help="Epoch of the checkpoint."),
    seed: int | None = typer.Option(None, help="Seed of the run."),
    weight_decay: float | None = typer.Option(None, help="lambda_W of the training."),
    dataset: str | None = typer.Option(None, help="Name of the data set."),
    architecture: str | None = typer.Option(None, help="Name of the network."),
    class_names: Path | None = typer.Option(None, help="A text file with a class name a line."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the checkpoint."),
) -> None:
    """Turn other people's features, labels and weights into a checkpoint.

    Names such as train_features, y, fc.weight are found by themselves; what is not is named with
    --features, --labels, --logits, --weight, --bias. Pickles (.pt, .pkl) are never loaded.

    \b
    Examples:
      nccli import features.npz --out epoch-00010.h5 --loss ce
      nccli import --features f.npy --labels y.csv:label --weight m.safetensors:fc.weight -o a.h5
      nccli import data.h5 --features /layer4/train --labels /y --out runs/mine --epoch 10
    """
    from nccli.importing import Wanted, import_checkpoint
    from nccli.validate import validate

    place = place_of(out, epoch, overwrite=overwrite)
    given = {"features": features or [], "labels": labels or [], "logits": logits or []}
    wanted = Wanted(
        source=source,
        parts=_parts(given, split),
        classifier={name: one for name, one in (("weight", weight), ("bias", bias)) if one},
        split=split,
        bfloat16=bfloat16,
        first_label=labels_from,
        metadata=metadata_of(
            loss, smoothing, epoch, seed, weight_decay, dataset, architecture, class_names
        ),
    )
    for note in import_checkpoint(wanted, place):
        console.say(f"nccli: {note}")
    finding = validate(place)
    for note in finding.notes:
        console.say(f"nccli: {place}: {note}")
    held = ", ".join(finding.splits)
    console.say(f"nccli: wrote {place}: K {finding.num_classes}, d {finding.dim}, {held}")
    print(place)
    raise typer.Exit(DONE)


def place_of(out: Path, epoch: int | None, *, overwrite: bool) -> Path:
    """Return where the checkpoint goes. Raises UsageError rather than replace one."""
    from nccli.runs import checkpoint_path

    place = out
    if out.suffix != ".h5":
        if epoch is None:
            raise UsageError(
                f"{out} is a run directory, and there no epoch",
                remedy="--epoch 10, or --out FILE.h5",
            )
        place = checkpoint_path(out, epoch)
        place.parent.mkdir(parents=True, exist_ok=True)
    elif not out.absolute().parent.is_dir():
        raise NotFoundError("no such directory", source=out.parent, remedy="make it")
    if place.exists() and not overwrite:
        raise UsageError(f"{place} is there already", remedy="--overwrite replaces it")
    return place


def _parts(given: Mapping[str, Sequence[str]], usual: str) -> dict[str, dict[str, str]]:
    """{split: {part: reference}} of words like `test=NAME`; without `SPLIT=` the usual split."""
    found: dict[str, dict[str, str]] = {}
    for part, words in given.items():
        for word in words:
            before, equals, rest = word.partition("=")
            named = bool(equals) and before.isidentifier()
            split, reference = (before, rest) if named else (usual, word)
            parts = found.setdefault(split, {})
            if part in parts:
                raise UsageError(f"two --{part} of {split}", remedy=f"--{part} test=NAME")
            parts[part] = reference
    return found


def metadata_of(
    loss: str | None,
    smoothing: float | None,
    epoch: int | None,
    seed: int | None,
    weight_decay: float | None,
    dataset: str | None,
    architecture: str | None,
    class_names: Path | None,
) -> Metadata:
    """Return what the command line says of the training. Raises UsageError or InputError."""
    from nccli.checkpoint import Metadata
    from nccli.hdf5.said import as_written

    words = {"ce": "cross-entropy", "ls": "label-smoothing"}
    if loss == "ce" and smoothing:
        raise UsageError("--loss ce has no --smoothing", remedy="--loss ls")
    if smoothing is None and loss in ("ce", "cross-entropy"):
        smoothing = 0.0
    names = None if class_names is None else _lines(class_names)
    return as_written(
        Metadata(
            loss=words.get(loss, loss) if loss is not None else None,
            label_smoothing=smoothing,
            epoch=epoch,
            seed=seed,
            weight_decay=weight_decay,
            dataset=dataset,
            architecture=architecture,
            class_names=names,
        )
    )


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError(f"cannot be read ({error})", source=path) from None
