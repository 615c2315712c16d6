"""Files that a command writes beside its output: figures, numbers, pages; whole or not at all."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nccli.cli import console
from nccli.cli.compared_runs import one_of
from nccli.errors import InputError, MissingExtraError
from nccli.publish import check_folder, publish_bytes
from nccli.text import visible

if TYPE_CHECKING:
    from nccli.export import Plotted

FORMS = ("pdf", "svg", "png", "tex", "csv", "json")


def check_form(word: str) -> str:
    """Return a form that can be written here. Raises UsageError, MissingExtraError."""
    from nccli.export import forms

    form = one_of("the form", word.lower(), FORMS)
    if form not in forms():
        raise MissingExtraError(
            "figures need matplotlib", remedy="pip install 'nccli[figures]'; or csv, json, tex"
        )
    return form


def check_file(path: Path) -> str:
    """Return the form of a file's name, before anything is computed for it.

    Raises what `check_form` raises, NotFoundError where no file can be written.
    """
    form = check_form(path.suffix.removeprefix("."))
    check_folder(path.parent)
    return form


def save(plotted: Plotted, path: Path, *, command: str) -> None:
    """Write numbers that come from no file, in the form of the file's name; say so on stderr."""
    from nccli.export import Origin, exported

    content = exported(plotted, Origin(command=command), check_file(path), when=when())
    _write_whole(path, content)
    console.say(f"nccli: wrote {visible(path)}")


def publish(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and print its name. Raises InputError."""
    _write_whole(path, content)
    print(path)


def _write_whole(path: Path, content: bytes) -> None:
    try:
        publish_bytes(path, content)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}", source=path, remedy="choose another"
        ) from error


def when() -> datetime:
    """Now; SOURCE_DATE_EPOCH stands for it where the same bytes are wanted again."""
    try:
        return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)
