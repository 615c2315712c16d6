"""CONTRIBUTING.md names files and symbols that are there, and its recipe works."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
from pathlib import Path

import pytest
from conftest import simplex

from nccli import collapse, render
from nccli.checkpoint import Checkpoint
from nccli.collapse.measurement import measure
from nccli.collapse_report import CollapseReport
from nccli.definitions import definitions
from nccli.result import columns, quantity

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SYMBOLS = sorted(set(re.findall(r"`(\w+)` of `([\w/]+\.py)`", PAGE)))
FILES = sorted(set(re.findall(r"`((?:\.ci|nccli|tests|docs)/[\w/.]*\w)`", PAGE)))
TARGETS = sorted(set(re.findall(r"`?make (\w+)", PAGE)))


def top_level(path):
    """The names that a module defines."""
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_the_page_names_much():
    assert len(SYMBOLS) >= 12
    assert len(FILES) >= 12
    assert len(TARGETS) >= 4


@pytest.mark.parametrize(("name", "path"), SYMBOLS)
def test_every_symbol_is_where_the_page_says(name, path):
    assert name in set(top_level(path))


@pytest.mark.parametrize("path", FILES)
def test_every_file_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_is_in_the_makefile(name):
    assert f"\n{name}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_symbols_of_the_recipe_are_what_it_needs():
    """The versions that it raises, and the private names that its two edits use."""
    from nccli.cache import METRIC_VERSIONS

    assert {"collapse", "sampled"} <= set(METRIC_VERSIONS)
    assert "_OWN_MEANS" in set(top_level("nccli/collapse_report.py"))
    source = (ROOT / "nccli/collapse/analysis.py").read_text(encoding="utf-8")
    assert {"values", "own"} <= set(re.findall(r"^    (\w+) = ", source, flags=re.MULTILINE))


def test_a_declared_field_is_in_json_csv_definitions_and_the_table():
    """As the page says of its example; here the field is declared in a class of its own."""
    declaration = re.search(r"between_trace: .*?\n   \)\n", PAGE, flags=re.DOTALL)
    assert declaration is not None
    names = {"quantity": quantity, "CollapseReport": CollapseReport, "_OWN_MEANS": "own means"}
    exec("class Added(CollapseReport):\n    " + declaration[0], names)
    added = dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(names["Added"])

    features, labels, weight = simplex()
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    computed = re.search(r'values\["between_trace"\] = (.*)', PAGE)
    assert computed is not None
    trace = eval(computed[1], {"own": measure(point, "train").own})
    means = features.reshape(5, -1, features.shape[1]).mean(axis=1)  # simplex() has 5 classes
    assert trace == pytest.approx(((means - means.mean(axis=0)) ** 2).sum() / 5)

    report = collapse.analyze(point)
    values = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    result = added(**values, between_trace=trace)
    assert columns(added)[-1] == "between_trace"
    for form in ("json", "jsonl", "csv", "md"):
        assert "between_trace" in render.rendered([result], form=form)
    assert definitions(added)[-1].definition.startswith("tr(Sigma_B)")

    from nccli.tables import results_table

    assert "trace of between" in render_text(results_table([result]))


def render_text(renderable):
    from rich.console import Console

    console = Console(width=80, file=sys.stdout)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_brief_metric_has_a_row_in_the_terminal_ui():
    from nccli.result import quantities
    from nccli.tui.collapse import NUMBERS

    brief = {name for name, meaning in quantities(CollapseReport).items() if meaning.brief}
    assert {f"train.{name}" for name in brief - {"epoch", "split"}} <= set(NUMBERS)
