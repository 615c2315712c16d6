"""What a command may import: start-up stays quick, and analysis never touches torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import make_runs

HEAVY = (
    "torch",
    "torchvision",
    "curvlinops",
    "textual",
    "matplotlib",
    "scipy",
    "numpy",
    "h5py",
    "rich",
    "typer",
)


def imported(words):
    """The heavy modules that are in sys.modules after a command has run."""
    code = (
        "import json, sys\n"
        "sys.argv = ['nccli', *json.loads(sys.argv[1])]\n"
        "from nccli.__main__ import main\n"
        "main()\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_version_imports_nothing_heavy():
    assert imported(["--version"]) == set()


@pytest.mark.parametrize("words", [["--help"], ["analyze", "--help"], ["train", "--help"]])
def test_help_imports_the_command_line_only(words):
    assert imported(words) == {"typer"}


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("analyze", {"typer", "numpy"}),
        ("calibrate", {"typer", "numpy"}),
        ("check", {"typer", "numpy"}),
        ("hessian", {"typer", "numpy", "scipy"}),
        ("compare", {"typer", "numpy", "scipy", "rich"}),
    ],
)
def test_analysis_imports_neither_torch_nor_textual_nor_matplotlib(tmp_path, command, allowed):
    make_runs(tmp_path, epochs=(1,))
    assert imported([command, str(tmp_path), "--format", "json"]) <= allowed
