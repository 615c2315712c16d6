"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import nccli

ROOT = Path(nccli.__file__).parent
MODULES = sorted(
    ".".join(("nccli", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted > 0
    assert done.failed == 0


def test_the_lazy_names_that_do_something_have_examples():
    for name in ("read_checkpoint", "write_checkpoint", "read_run", "observe_run", "check"):
        assert ">>> " in getattr(nccli, name).__doc__
    for module in (nccli.collapse, nccli.calibration, nccli.hessian, nccli.ufm):
        assert ">>> " in module.analyze.__doc__
    assert ">>> " in nccli.recorder.__doc__
