"""Pages and help cannot rot: every example in them is run, what they show is what is printed."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import typer

from nccli.cli.app import app, run
from nccli.tui.keys import KEYS
from nccli.tui.view import TABS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands
SLOW = ("train", "demo", "extract")  # run by their own tests; of a sweep its runs are only listed
SILENT = (*SLOW, "sweep", "view", "import")  # they print no table to compare
NAMES_ONLY = ("figure", "report")  # they print the names of the files they wrote
SAMPLE = ROOT / "sample_data"


def examples(text):
    """The `nccli ...` lines of a text, without what stands behind a `>`."""
    lines = re.findall(r"^\s*(?:\$ )?(nccli (?!.*\.\.\.).+)$", text, flags=re.MULTILINE)
    # nccli-demo stands where the demo has run, which is not here
    lines = [line for line in lines if "nccli-demo" not in line]
    return [re.sub(r" > [\w./-]+$", "", line.strip()) for line in lines]


def console_blocks(text):
    return "\n".join(re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL))


def shown_outputs(text):
    """The blocks of a single command with what it prints: (command, output)."""
    blocks = re.findall(r"```console\n\$ (nccli [^\n]+)\n((?:(?!```).)+)```", text, flags=re.DOTALL)
    return [(line, printed) for line, printed in blocks if "$ nccli" not in printed]


HELP_EXAMPLES = [line for command in COMMANDS.values() for line in examples(command.help or "")]
SCREENS = ROOT / "docs" / "terminal-ui.md"
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}
PAGE_EXAMPLES = [line for text in PAGES.values() for line in examples(console_blocks(text))]
ADDRESS = "tcp://host:8786"  # stands for the scheduler of a cluster
ON_A_CLUSTER = [line for line in PAGE_EXAMPLES if ADDRESS in line]
SHOWN = [line for text in PAGES.values() for line, _ in shown_outputs(text)]  # run where compared
HERE = sorted({*HELP_EXAMPLES, *PAGE_EXAMPLES} - {*ON_A_CLUSTER, *SHOWN})


def arguments_of(line):
    return shlex.split(line)[1:]


@pytest.fixture
def beside_sample_data(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE / "runs", tmp_path / "sample_data" / "runs")
    shutil.copytree(ROOT / "docs" / "study", tmp_path / "docs" / "study")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    _write_what_examples_import()


def _write_what_examples_import():
    """features.npz, f.npy, y.csv, m.safetensors, data.h5, as the examples of import name them."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(30, 5)).astype("f4"), np.arange(30) % 3
    weight = rng.normal(size=(3, 5)).astype("f4")
    np.savez("features.npz", features=features, labels=labels, weight=weight)
    np.save("f.npy", features)
    Path("y.csv").write_text("label\n" + "\n".join(map(str, labels)))
    header = {"fc.weight": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, weight.nbytes]}}
    text = json.dumps(header).encode()
    size = len(text).to_bytes(8, "little")
    Path("m.safetensors").write_bytes(size + text + weight.tobytes())
    with h5py.File("data.h5", "w") as file:
        file["layer4/train"], file["y"] = features, labels


def test_every_command_is_in_the_readme_and_has_examples():
    for name, command in COMMANDS.items():
        assert f"nccli {name}" in README
        assert examples(command.help or ""), name


@pytest.mark.usefixtures("beside_sample_data")
@pytest.mark.parametrize("line", HERE)
def test_every_example_runs(line, capsys):
    words = arguments_of(line)
    if words[0] in SLOW:
        context = COMMANDS[words[0]].make_context(words[0], words[1:])
        assert context.params
        return
    code = run([*words, "--dry-run"] if words[0] == "sweep" else words)
    captured = capsys.readouterr()
    if words == ["view"]:
        assert code == 2  # it needs a terminal, and says so
        assert "needs a terminal" in captured.err
    else:
        assert code == 0, captured.err


@pytest.mark.usefixtures("beside_sample_data")
@pytest.mark.parametrize("line", ON_A_CLUSTER)
def test_every_example_of_a_cluster_runs_on_one(line, dask_cluster, capsys):
    assert run(arguments_of(line.replace(ADDRESS, dask_cluster.scheduler_address))) == 0
    here = re.sub(r" --scheduler \S+", "", line)
    there = capsys.readouterr().out
    assert run([*arguments_of(here), "--no-cache"]) == 0
    assert capsys.readouterr().out == there


def test_many_outputs_are_shown():
    shown = {name: len(shown_outputs(text)) for name, text in PAGES.items()}
    assert shown["README.md"] >= 5
    assert shown["docs/tutorial.md"] >= 5


@pytest.mark.usefixtures("beside_sample_data")
@pytest.mark.parametrize("page", [name for name in PAGES if shown_outputs(PAGES[name])])
def test_the_outputs_in_the_docs_are_what_the_commands_print(page, capsys):
    """NCCLI_UPDATE_GOLDEN=1 writes them anew."""
    text = PAGES[page]
    for line, output in shown_outputs(text):
        words = arguments_of(line)
        assert words[0] not in SILENT
        as_they_are = "--format" in words or words[0] in NAMES_ONLY
        assert run(words if as_they_are else [*words, "--format", "table"]) == 0
        rows = capsys.readouterr().out.strip().splitlines()
        printed = "".join(row.rstrip() + "\n" for row in rows)
        text = text.replace(f"$ {line}\n{output}", f"$ {line}\n{printed}")
    if os.environ.get("NCCLI_UPDATE_GOLDEN") == "1":
        (ROOT / page).write_text(text, encoding="utf-8")
    assert (ROOT / page).read_text(encoding="utf-8") == text


SCRIPT = re.compile(r"```bash\n(.*?)```(?:\n\nIt prints:\n\n```text\n(.*?)```)?", re.DOTALL)
SCRIPTS = [
    pytest.param(*found, id=f"{name}-{number}")
    for name, text in PAGES.items()
    for number, found in enumerate(SCRIPT.findall(text))
]


@pytest.mark.usefixtures("beside_sample_data")
@pytest.mark.parametrize(("script", "printed"), SCRIPTS)
def test_every_script_in_the_docs_runs_and_prints_what_is_shown(script, printed, monkeypatch):
    """Blocks marked bash; those marked sh need what is not here."""
    program = Path("bin", "nccli")
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nccli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent.resolve()}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_the_keys_in_the_docs_are_those_of_the_one_table():
    """NCCLI_UPDATE_GOLDEN=1 writes them anew."""
    where = {"chart": "on a chart", "table": "on a row", "runs": "in the list of runs",
             "filter": "in the filter"}  # fmt: skip
    lines = ["| key | where | does |", "|---|---|---|"]
    for line in KEYS:
        if line.scope != "window":
            tabs = "" if line.tabs == TABS else ", ".join(tab.capitalize() for tab in line.tabs)
            place = where.get(line.scope, tabs)
            lines.append(f"| `{line.caps}` | {place} | {line.means} |")
    text = SCREENS.read_text(encoding="utf-8")
    begin, end = "tests/test_docs.py -->\n", "<!-- end of keys -->"
    head, _, rest = text.partition(begin)
    made = head + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    if os.environ.get("NCCLI_UPDATE_GOLDEN") == "1":
        SCREENS.write_text(made, encoding="utf-8")
    assert SCREENS.read_text(encoding="utf-8") == made


def pictures():
    """Every picture that a page shows: its path from the root."""
    for name, text in PAGES.items():
        for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
            yield (Path(name).parent / path).as_posix()


def test_every_picture_in_the_docs_is_made_by_the_makefile():
    """And refers to nothing outside itself."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    screens = re.search(r"for picture in (.*?); do", makefile)
    assert screens is not None
    made = {f"docs/view-{word.partition(':')[0]}.svg" for word in screens[1].split()}
    made |= set(re.findall(r"docs/\w+\.svg", makefile))
    assert set(pictures()) == made
    for path in made:
        svg = (ROOT / path).read_text(encoding="utf-8")
        assert not re.search(r"(href|src)=.?\"(?!#)|url\((?![\"']?#|[\"']?https://cdnjs)", svg), (
            path
        )


def test_the_picture_of_the_crossing_has_the_curves_on_both_sides_of_it():
    """Rising from cross-entropy on exactly where K sqrt(n) lambda_z is below the crossing."""
    crossing = runpy.run_path(str(ROOT / "docs" / "crossing.py"))
    series = crossing["plotted"]().series
    rises = [one.y[1] > one.y[0] for one in series]
    assert rises == [pull < crossing["crossing"](10) for pull in crossing["PULLS"]]
    assert rises == [True, True, False, False]
    svg = (ROOT / "docs" / "crossing.svg").read_text(encoding="utf-8")
    assert all(one.label in svg for one in series)


def test_every_link_to_a_file_leads_to_one():
    for name, text in PAGES.items():
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"


@pytest.mark.parametrize(("page", "count"), [("README.md", 3), ("docs/how-to.md", 1)])
def test_the_python_of_the_docs_runs(page, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = {
        "features": rng.normal(size=(30, 5)),
        "labels": np.arange(30) % 3,
        "test_features": rng.normal(size=(30, 5)),
        "test_labels": np.arange(30) % 3,
        "layer": SimpleNamespace(weight=rng.normal(size=(3, 5)), bias=np.zeros(3)),
        "weight": rng.normal(size=(3, 5)),
        "bias": np.zeros(3),
        "train_one_epoch": lambda: None,
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGES[page], flags=re.DOTALL)
    here = [block for block in blocks if "dask_jobqueue" not in block]  # that needs SLURM
    assert len(here) == count
    for block in here:
        exec(compile(block, page, "exec"), dict(names))
        assert run(["check", "runs/mine" if "recorder" in block else "epoch-00010.h5"]) == 0
