"""The reference pages: `python docs/make_reference.py` (`make reference`) writes docs/reference/.

Nothing is said here. The words are those of `--help`, of the results' fields and of their classes.
A new command gets its page by itself; a new result has to be named in RESULTS, and
tests/test_reference.py says so where it is not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from nccli.calibration.classes import ClassCalibration
from nccli.calibration.paired import DifferenceReport
from nccli.calibration.relations import RelationReport
from nccli.calibration_report import CalibrationReport
from nccli.cli.app import app, run
from nccli.collapse.classes import ClassReport
from nccli.collapse.gram import GramReport
from nccli.collapse.intervals import SampledReport
from nccli.collapse_report import SYMBOLS, CollapseReport
from nccli.compare import Claim
from nccli.contents import Listing
from nccli.crossing import Crossing
from nccli.definitions import Definition
from nccli.hessian_rates import DecayReport
from nccli.hessian_report import HessianReport
from nccli.matching import Matched
from nccli.network.report import NetworkReport
from nccli.paired import Comparison
from nccli.render import shown
from nccli.result import Quantity, quantities
from nccli.sweep import SweepPoint
from nccli.ufm import UFMReport
from nccli.validate import Finding

FOLDER = Path(__file__).resolve().parent / "reference"
MADE = "<!-- made by `make reference` from nccli itself; tests/test_reference.py holds it -->\n"

RESULTS: dict[str, tuple[tuple[str, Any], ...]] = {  # command: when it prints which result
    "analyze": (
        ("One for each checkpoint and split.", CollapseReport),
        ("With `--ci`.", SampledReport),
        ("With `--per-class`: one for each class.", ClassReport),
        ("With `--gram`.", GramReport),
        ("With `--until`: one for each run and split.", Crossing),
        ("With `--definitions`: one for each field of `CollapseReport`.", Definition),
    ),
    "hessian": (
        ("One for each checkpoint and split.", HessianReport),
        ("With `--rates`: one for each stretch of a run.", DecayReport),
        ("With `--classes`: one for each delta.", UFMReport),
        ("With `--sweep`: one for each point.", SweepPoint),
        ("With `--network`.", NetworkReport),
    ),
    "calibrate": (
        ("One for each checkpoint and split.", CalibrationReport),
        ("With `--per-class`: one for each class.", ClassCalibration),
        ("With `--paired`: one for each pair of checkpoints.", DifferenceReport),
        ("With `--relations`: one for each checkpoint.", RelationReport),
    ),
    "compare": (
        ("One for each number that is compared.", Comparison),
        ("With `--match`: one for each number and level.", Matched),
        ("In tables for people only, below the numbers.", Claim),
    ),
    "check": (
        ("One for each file.", Finding),
        ("With `--contents`: one for each file.", Listing),
    ),
}


def commands() -> dict[str, Any]:
    """Return the commands by name, in the order of `nccli --help`."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def pages() -> dict[str, str]:
    """Return the text of every page, by its file name."""
    made = {f"{name}.md": command_page(name) for name in commands()}
    return {"README.md": index_page(), "fields.md": fields_page(), **made}


def write(folder: Path = FOLDER) -> None:
    """Write all pages, and remove those of commands that are gone."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


# --- pages --------------------------------------------------------------------------------------


def index_page() -> str:
    """What there is, and how to read it."""
    lines = ["# Reference", MADE]
    lines += ["Every command with its `--help`, and every field of what it prints."]
    lines += ["[All fields by name](fields.md) tells which command prints a field.", ""]
    lines += ["| command | |", "|---|---|"]
    lines += [
        f"| [{name}]({name}.md) | {cell(first(one.help))} |" for name, one in commands().items()
    ]
    lines += ["", "## How to read the tables", ""]
    lines += [
        "- *field* is the key in JSON and the heading in CSV; *label* is the heading in tables."
    ]
    lines += ["- A field that holds another result is one object in JSON. The column formats spell"]
    lines += ["  it out: the field's name, `_`, and the name inside, as in `calibrated_ece`."]
    lines += ["- A field that holds a list of records is in JSON only."]
    lines += [
        "- *ideal* is the value at exact neural collapse, *better* the direction that is better;"
    ]
    lines += ["  both are empty where there is none."]
    lines += ["- What is undefined is null in JSON and empty in CSV; `notes` says why.", ""]
    lines += ["## nccli", "", *help_block()]
    return "\n".join(lines) + "\n"


def fields_page() -> str:
    """Every field by name, with the commands and results that have it."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in RESULTS:
        for result_type in results(name):
            kind = result_type.__name__
            for field, meaning in quantities(result_type).items():
                places = found.setdefault((field, meaning.label), {}).setdefault(name, [])
                places.append(f"[{kind}]({name}.md#{kind.lower()})")
    lines = ["# All fields by name", MADE, "| field | label | printed by |", "|---|---|---|"]
    for (field, label), by_command in sorted(found.items()):
        told = "; ".join(f"{name}: {', '.join(places)}" for name, places in by_command.items())
        lines.append(f"| `{field}` | {cell(label)} | {told} |")
    return "\n".join(lines) + "\n"


def command_page(name: str) -> str:
    """One command: its help, and the fields of each result that it prints."""
    lines = [f"# nccli {name}", MADE, *help_block(name)]
    if name in RESULTS:
        lines += ["", "## What it prints", ""]
        lines += ["How to read the tables: see [the overview](README.md#how-to-read-the-tables)."]
    if name == "analyze":
        lines += ["", f"Symbols: {cell(SYMBOLS)}"]
    for when, result_type in RESULTS.get(name, ()):
        lines += ["", *section(result_type, when)]
    inner = [one for one in results(name) if one not in dict(map(reversed, RESULTS.get(name, ())))]
    for result_type in inner:
        lines += ["", *section(result_type, "Inside of the results above.")]
    return "\n".join(lines) + "\n"


def help_block(*name: str) -> list[str]:
    """The help of a command as a terminal of 80 columns shows it."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            run([*name, "--help"])
    finally:
        del os.environ["COLUMNS"]
        os.environ.update({} if before is None else {"COLUMNS": before})
    lines = [line.rstrip() for line in out.getvalue().strip().splitlines()]
    return ["```text", *lines, "```"]


# --- results ------------------------------------------------------------------------------------


def results(name: str) -> list[Any]:
    """Return the results that a command prints, then those inside of them, each once."""
    found = [result_type for _, result_type in RESULTS.get(name, ())]
    for result_type in found:  # grows on the way
        found += [one for one in inside(result_type) if one not in found]
    return found


def inside(result_type: Any) -> list[Any]:
    """Return the classes of the fields that hold other results, or lists of records."""
    found = []
    for name, hint in typing.get_type_hints(result_type).items():
        meaning = quantities(result_type).get(name, Quantity(label=name))
        if meaning.nested is not None:
            found.append(meaning.nested)
        elif meaning.records:
            found += [one for one in typing.get_args(hint) if dataclasses.is_dataclass(one)]
    return list(dict.fromkeys(found))


def section(result_type: Any, when: str) -> list[str]:
    """One result: what it is, its fields, their sources."""
    fields, base = own_fields(result_type)
    lines = [f"### {result_type.__name__}", "", f"{cell(first(result_type.__doc__))} {when}", ""]
    if base is not None:
        lines += [f"Everything of [{base.__name__}](#{base.__name__.lower()}), and:", ""]
    lines += ["| field | label | meaning | ideal | better |", "|---|---|---|---|---|"]
    hints = typing.get_type_hints(result_type)
    for name, meaning in fields.items():
        ideal = "" if meaning.ideal is None else shown(meaning.ideal)
        words = [cell(meaning.definition or comment(result_type, name))]
        words += holds(meaning, hints[name])
        words += [f"in {meaning.unit}"] if meaning.unit else []
        told = "; ".join(filter(None, words))
        lines.append(
            f"| `{name}` | {cell(meaning.label)} | {told} | {ideal} | {meaning.better or ''} |"
        )
    told = [line for name, meaning in fields.items() for line in remarks(name, meaning)]
    return [*lines, "", "Sources, and where other codes differ:", "", *told] if told else lines


def own_fields(result_type: Any) -> tuple[dict[str, Quantity], Any]:
    """Return the fields that are not those of another result, and that other result, or None."""
    fields = quantities(result_type)
    base = next((one for one in result_type.__mro__[1:] if dataclasses.is_dataclass(one)), None)
    inherited = {} if base is None else quantities(base)
    return {name: one for name, one in fields.items() if inherited.get(name) is not one}, base


def comment(result_type: Any, name: str) -> str:
    """What the source says beside a field that carries no definition."""
    source = inspect.getsource(result_type)
    beside = re.search(rf"^    {name}:[^#\n]*#\s*(.+)$", source, flags=re.MULTILINE)
    return beside[1] if beside else ""


def holds(meaning: Quantity, hint: Any) -> Iterator[str]:
    """What a field holds that is more than a value."""
    if meaning.nested is not None:
        yield f"a [{meaning.nested.__name__}](#{meaning.nested.__name__.lower()})"
    elif meaning.records:
        inner = [one for one in typing.get_args(hint) if dataclasses.is_dataclass(one)]
        names = [f"[{one.__name__}](#{one.__name__.lower()})" for one in inner]
        yield f"a list of {', '.join(names)}" if names else "a list, in JSON only"


def remarks(name: str, meaning: Quantity) -> list[str]:
    """A line of what there is to say of a field beyond its definition."""
    told = [
        *([f"source: {cell(meaning.source)}"] if meaning.source else []),
        *([f"elsewhere: {cell(meaning.elsewhere)}"] if meaning.elsewhere else []),
        *([f"other splits: {cell(meaning.on_test)}"] if meaning.on_test else []),
    ]
    return [f"- `{name}`: {'. '.join(told)}"] if told else []


# --- words --------------------------------------------------------------------------------------


def first(text: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((text or "").strip().partition("\n\n")[0].split())


def cell(text: str) -> str:
    """Words that Markdown shows as they are, in a table too."""
    for character in "\\|*<[":
        text = text.replace(character, f"\\{character}")
    return text


if __name__ == "__main__":
    write()
