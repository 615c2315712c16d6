"""The reference pages are what the commands and results say of themselves."""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
NAMES = sorted(path.name for path in FOLDER.glob("*.md"))
DECLARES = {"quantity", "same_as", "_interval_of"}
NEVER_PRINTED = {"Drawn", "ResampledReport"}  # what `calibrate --paired` makes its rows of


@pytest.fixture(scope="module")
def made():
    """The module that makes the pages; it brings PyTorch in, and the warnings of its friends."""
    pytest.importorskip("torch")
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("make_reference")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def pages(made):
    return made.pages()


def declared():
    """The names of all classes in nccli with a field that says what it means."""
    for path in sorted((ROOT / "nccli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(map(_declares, node.body)):
                yield node.name


def _declares(statement):
    call = getattr(statement, "value", None)
    return isinstance(call, ast.Call) and getattr(call.func, "id", "") in DECLARES


def test_the_pages_are_what_nccli_says_of_itself(made, pages):
    """NCCLI_UPDATE_GOLDEN=1, or `make reference`, writes them anew."""
    if os.environ.get("NCCLI_UPDATE_GOLDEN") == "1":
        made.write()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert there == pages


def test_every_command_has_its_page_and_its_help_there(made, pages):
    for name in made.commands():
        assert f"Usage: nccli {name}" in pages[f"{name}.md"]


def test_every_result_with_documented_fields_is_on_a_page(made):
    """A new result belongs into RESULTS of docs/make_reference.py."""
    shown = {one.__name__ for name in made.RESULTS for one in made.results(name)}
    assert set(declared()) - NEVER_PRINTED <= shown


def test_every_field_is_in_the_list_of_all_fields(made, pages):
    for name in made.RESULTS:
        for result_type in made.results(name):
            for field in made.quantities(result_type):
                assert f"| `{field}` |" in pages["fields.md"], field


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_heading_that_is_there(name, pages):
    for page, heading in re.findall(r"\]\(([\w.-]*)#?([\w-]*)\)", pages[name]):
        text = pages[page or name]
        anchors = {
            re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
            for line in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
        }
        assert not heading or heading in anchors


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_table_has_the_cells_of_its_heading(name, pages):
    width = None
    for line in pages[name].splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert None in (width, cells) or cells == width, line
        width = cells
