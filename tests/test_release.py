"""What is released: the wheel and the sdist hold what they should, and the papers are in order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from trove_classifiers import classifiers

import nccli

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SDIST = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
RUBBISH = re.compile(r"\.nccli-cache|__pycache__|\.pyc$|resume\.pt|\.venv|\.git/")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist of what stands here, built without a network, as {kind: path}."""
    copy, out = tmp_path_factory.mktemp("source") / "nccli", tmp_path_factory.mktemp("dist")
    ours = ["pyproject.toml", ".gitignore", *(name.removeprefix("/") for name in SDIST)]
    for name in ours:
        place = ROOT / name
        copy.mkdir(exist_ok=True)
        if place.is_dir():
            shutil.copytree(place, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif place.exists():  # an sdist has its ignored files left out already
            shutil.copy(place, copy / name)
    litter(copy)
    build(copy, out)
    build(copy, out / "editable", "from hatchling.build import build_editable as build")
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    (editable,) = (out / "editable").glob("*.whl")
    return {"wheel": wheel, "sdist": sdist, "editable": editable, "source": copy}


def build(source, out, how=None):
    """Build sdist and wheel as a release is, or as `how` says, by a process of its own."""
    words = ["-m", "hatchling", "build", "--directory", str(out)]
    if how is not None:
        out.mkdir()
        words = ["-c", f"{how}; build({str(out)!r})"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=source, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def litter(folder):
    """What lies about in a tree that was worked in, and must not be released."""
    for run in (folder / "sample_data" / "runs").iterdir():
        (run / ".nccli-cache").mkdir(exist_ok=True)
        (run / ".nccli-cache" / "epoch-00001.json").write_text("{}")
    (folder / "nccli" / "__pycache__").mkdir(exist_ok=True)
    (folder / "nccli" / "__pycache__" / "nccli.pyc").write_bytes(b"")


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built["wheel"]) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist(built):
    with tarfile.open(built["sdist"]) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def here(*folders):
    """The files of some folders of this tree that are no rubbish, from its root."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(ROOT).as_posix() for path in found}
    return {name for name in names if not RUBBISH.search(name)}


def test_the_wheel_holds_both_packages_and_the_sample_data(wheel):
    inside = {name for name in wheel if ".dist-info/" not in name}
    data = {f"nccli/{name}" for name in here("sample_data")}
    assert inside == here("nccli", "train") | data
    assert {"nccli/py.typed", "train/py.typed", "nccli/sample_data/digits.npz"} <= inside
    assert not [name for name in wheel if RUBBISH.search(name) or "tests/" in name]


def test_the_sdist_holds_what_the_tests_need(sdist):
    assert here("nccli", "train", "tests", "docs", "sample_data", ".ci") <= sdist
    files = "Makefile constraints.txt pyproject.toml README.md CHANGELOG.md LICENSE SECURITY.md"
    assert {*files.split(), "CONTRIBUTING.md", "CITATION.cff", ".ci/run"} <= sdist
    assert not [name for name in sdist if RUBBISH.search(name)]


def test_every_page_that_a_page_links_to_is_in_the_sdist(sdist):
    for page in sorted(name for name in sdist if re.fullmatch(r"[A-Z]+\.md|docs/[\w-]+\.md", name)):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            linked = (ROOT / page).parent.joinpath(target).resolve().relative_to(ROOT).as_posix()
            assert linked in sdist or any(name.startswith(f"{linked}/") for name in sdist), target


def test_an_editable_install_takes_the_tree_itself(built):
    """As `make install` does: no copy of a package beside the one that is worked on."""
    with zipfile.ZipFile(built["editable"]) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        (path,) = inside
        assert path.endswith(".pth")
        assert Path(archive.read(path).decode().strip()) == built["source"].resolve()


def test_the_metadata_are_those_of_the_project(built):
    with zipfile.ZipFile(built["wheel"]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = Parser().parsestr(archive.read(name).decode())
        entry = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert (told["Name"], told["Version"]) == ("nccli", nccli.__version__)
    assert told["License-Expression"] == "MIT"
    assert "nccli = nccli.__main__:main" in entry


def test_every_classifier_is_a_known_one():
    assert set(PROJECT["project"]["classifiers"]) <= classifiers


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["project"]["version"] == nccli.__version__ == citation["version"]


def test_the_citation_names_the_software_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["keywords"] == PROJECT["project"]["keywords"]
    (paper,) = citation["references"]
    assert {"type", "title", "authors", "year"} <= set(paper)
    assert paper["identifiers"][0]["value"] == "arXiv:2402.03979"
