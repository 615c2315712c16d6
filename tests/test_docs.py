"""README and help cannot rot: every example in them is run, every command is in them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
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
SAMPLE = ROOT / "sample_data"


def examples(text):
    """The `nccli ...` lines of a text, without what stands behind a `>`."""
    lines = re.findall(r"^\s*(?:\$ )?(nccli (?!.*\.\.\.).+)$", text, flags=re.MULTILINE)
    # nccli-demo stands where the demo has run, which is not here
    lines = [line for line in lines if "nccli-demo" not in line]
    return [re.sub(r" > [\w./-]+$", "", line.strip()) for line in lines]


def console_blocks(text):
    return "\n".join(re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL))


HELP_EXAMPLES = [line for command in COMMANDS.values() for line in examples(command.help or "")]
SCREENS = ROOT / "docs" / "terminal-ui.md"
README_EXAMPLES = examples(console_blocks(README + SCREENS.read_text(encoding="utf-8")))


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
@pytest.mark.parametrize("line", sorted(set(HELP_EXAMPLES + README_EXAMPLES)))
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
def test_the_outputs_in_the_readme_are_what_the_commands_print(capsys):
    """NCCLI_UPDATE_GOLDEN=1 writes them anew."""
    blocks = re.findall(
        r"```console\n\$ (nccli [^\n]+)\n((?:(?!```).)+)```", README, flags=re.DOTALL
    )
    shown = [(line, text) for line, text in blocks if "$ nccli" not in text]
    assert len(shown) >= 5
    readme = README
    for line, text in shown:
        assert run([*arguments_of(line), "--format", "table"]) == 0
        rows = capsys.readouterr().out.strip().splitlines()
        printed = "".join(row.rstrip() + "\n" for row in rows)
        readme = readme.replace(f"$ {line}\n{text}", f"$ {line}\n{printed}")
    if os.environ.get("NCCLI_UPDATE_GOLDEN") == "1":
        (ROOT / "README.md").write_text(readme, encoding="utf-8")
    assert (ROOT / "README.md").read_text(encoding="utf-8") == readme


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


def test_every_picture_in_the_docs_is_made_by_the_makefile():
    """And refers to nothing outside itself."""
    text = README + SCREENS.read_text(encoding="utf-8")
    shown = set(re.findall(r"\(?(?:docs/)?view-(\w+)\.svg\)", text))
    made = re.search(r"for picture in (.*?); do", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert made is not None
    assert shown == {word.partition(":")[0] for word in made[1].split()}
    for name in shown:
        svg = (ROOT / "docs" / f"view-{name}.svg").read_text(encoding="utf-8")
        assert "http" not in svg.replace("http://www.w3.org", "").replace("https://www.textual", "")


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
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
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    here = [block for block in blocks if "dask_jobqueue" not in block]  # that needs SLURM
    assert (len(blocks), len(here)) == (4, 3)
    for block in here:
        exec(compile(block, "README.md", "exec"), dict(names))
        assert run(["check", "runs/mine" if "recorder" in block else "epoch-00010.h5"]) == 0
