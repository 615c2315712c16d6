"""Exporting: the content in one of the forms, and its file under a name that is still free."""

from __future__ import annotations

import importlib.util
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from nccli.errors import ContentError, InputError, MissingExtraError, UsageError
from nccli.export.parts import Origin, Plotted
from nccli.export.pgfplots import to_tex
from nccli.export.provenance import Provenance, Watch, gather
from nccli.export.written import to_csv, to_json, to_text
from nccli.publish import check_folder, publish_bytes

FIGURES = ("svg", "pdf", "png")
FORMS = ("csv", "json", "txt", "tex", *FIGURES)
WRITERS = {"csv": to_csv, "json": to_json, "txt": to_text, "tex": to_tex}
PICTURES = ("tex", *FIGURES)
LONGEST = 80  # characters of a name in a file name


def forms() -> tuple[str, ...]:
    """Return the forms possible here: figures need matplotlib."""
    drawn = importlib.util.find_spec("matplotlib") is not None
    return tuple(form for form in FORMS if drawn or form not in FIGURES)


def exported(
    plotted: Plotted,
    origin: Origin,
    form: str,
    *,
    watch: Watch | None = None,
    when: datetime | None = None,
    width: float | None = None,
) -> bytes:
    """Return the numbers and their origin as one of `FORMS`.

    width: inches of a figure, by default as wide as it needs. watch: called with (done, total)
    after each file of the origin that was hashed. when: the time it says it was made, now by
    default; the same time and input give the same bytes.

    Raises UsageError for an unknown form, a figure of a table and a text that there is none of,
    MissingExtraError for figures without matplotlib, ContentError where there are no numbers.
    """
    _check(plotted, form)
    provenance = gather(plotted.title, origin, when=when or datetime.now(UTC), watch=watch)
    if form in FIGURES:
        return _figure(plotted, form, provenance, width)
    return WRITERS[form](plotted, provenance).encode()


def export(
    plotted: Plotted,
    origin: Origin,
    form: str,
    folder: Path,
    *,
    watch: Watch | None = None,
    when: datetime | None = None,
) -> Path:
    """Write what `exported` returns into `folder`, under a new name; return its path.

    Names are nccli-NAME.csv, nccli-NAME-2.csv and so on: nothing is overwritten.

    Raises what `exported` raises, NotFoundError for a folder that is missing or closed to us, and
    InputError where it cannot be written (disk full), with nothing left behind.
    """
    _check(plotted, form)
    # before gigabytes are hashed
    check_folder(folder, remedy="start nccli in another folder")
    content = exported(plotted, origin, form, watch=watch, when=when)
    try:
        return _publish_new(folder, f"nccli-{_slug(plotted.name)}", form, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot write the {form} file: {reason}", source=folder) from error


def _check(plotted: Plotted, form: str) -> None:
    if form not in FORMS:
        raise UsageError(f"unknown form '{form}'", remedy=f"try one of: {', '.join(FORMS)}")
    if form in FIGURES and form not in forms():
        raise MissingExtraError("figures need matplotlib", remedy="pip install 'nccli[figures]'")
    if plotted.drawable:
        return
    if form in PICTURES and plotted.table is not None:
        raise UsageError("a table is no figure", remedy="export it as csv")
    if plotted.table is None and form != "txt":  # a picture may say why it is empty
        raise ContentError(f"nothing to export: no numbers behind '{plotted.title}'")


def _figure(plotted: Plotted, form: str, provenance: Provenance, width: float | None) -> bytes:
    from nccli.figures import plotted_figure_bytes  # brings numpy in, then matplotlib

    return plotted_figure_bytes(plotted, form, notes=provenance.lines(), width=width)


def _publish_new(folder: Path, stem: str, form: str, content: bytes) -> Path:
    path = _reserved(folder, stem, form)
    try:
        publish_bytes(path, content)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    return path


def _reserved(folder: Path, stem: str, form: str) -> Path:
    """Make an empty file under the first name that is free: it is ours, whoever else exports."""
    path, number = folder / f"{stem}.{form}", 1
    while True:
        try:
            path.open("xb").close()
        except FileExistsError:
            number += 1
            path = folder / f"{stem}-{number}.{form}"
        else:
            return path


def _slug(name: str) -> str:
    """A name that any file system takes, and no shell minds."""
    kept = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
    return kept[:LONGEST] or "export"
