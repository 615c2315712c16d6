"""--format latex: the tables for people, in booktabs' lines, with every word escaped."""

from __future__ import annotations

import re

import pytest
from conftest import make_runs
from rich.console import Group
from rich.padding import Padding
from rich.text import Text
from typer.testing import CliRunner

from nccli.cli.app import app
from nccli.latex import latex
from nccli.tables import grid

COMMANDS = (
    ["analyze"],
    ["analyze", "--per-class"],
    ["calibrate"],
    ["hessian"],
    ["check", "--verify"],
    ["check", "--contents"],
    ["compare"],
    ["compare", "--match", "nc1"],
)


def tables_of(text):
    """Heading and body rows of each tabular, as lists of cells."""
    found = []
    for columns, body in re.findall(
        r"\\begin\{tabular\}\{([lrc]+)\}\n(.*?)\\end\{tabular\}\n", text, flags=re.DOTALL
    ):
        lines = [line for line in body.splitlines() if not line.startswith("\\")]
        rows = [re.split(r"(?<!\\) ?& ?", line.removesuffix(r" \\")) for line in lines]
        assert {len(row) for row in rows} <= {len(columns)}
        assert body.startswith("\\toprule\n")
        assert body.endswith("\\bottomrule\n")
        found.append(rows)
    return found


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_prints_its_tables(tmp_path, words):
    make_runs(tmp_path)
    done = CliRunner().invoke(app, [words[0], str(tmp_path), *words[1:], "--format", "latex"])
    assert done.exit_code == 0, done.output
    assert tables_of(done.stdout)
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", done.stdout, flags=re.DOTALL)
    assert all(line.startswith("%") for line in outside.splitlines() if line)


def test_the_cells_are_those_of_the_table(tmp_path):
    make_runs(tmp_path)
    forms = [
        CliRunner().invoke(app, ["compare", str(tmp_path), "--format", form]).stdout
        for form in ("table", "latex")
    ]
    (rows, *_) = tables_of(forms[1])
    plain = forms[0].splitlines()
    for row in rows[1:]:
        line = next(line for line in plain if line.startswith(row[0].replace("\\", "")))
        assert row[1] in line
        assert row[2] in line


def test_words_are_escaped_and_harmless():
    table = grid("a_b", "100 %")
    table.add_row(Text("$x & {y} ~ ^ \\ #"), Text("κ ≥ 2 – ‖W‖"))
    table.add_row("two\nlines \x1b[31m", "é", end_section=True)
    table.add_row("", "")
    text = latex(Group(Text("above_it\n\nand below"), Padding(table), Text("")))
    assert text == (
        "% above_it\n"
        "% and below\n"
        "\n"
        "\\begin{tabular}{lr}\n"
        "\\toprule\n"
        "a\\_b & 100 \\% \\\\\n"
        "\\midrule\n"
        "\\$x \\& \\{y\\} \\textasciitilde{} \\textasciicircum{} \\textbackslash{} \\# & "
        "$\\kappa$ $\\ge$ 2 -- $\\|$W$\\|$ \\\\\n"
        "two lines \\textbackslash{}x1b[31m & é \\\\\n"
        "\\midrule\n"
        " &  \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_a_title_is_a_comment_and_a_table_may_be_empty():
    lines = ["% what it is", r"\begin{tabular}{l}", r"\toprule", r"a \\", r"\midrule"]
    lines += [r"\bottomrule", r"\end{tabular}"]
    assert latex(grid("a", title="what it is")).splitlines() == lines
