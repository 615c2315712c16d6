"""`nccli report`: one page, whole, harmless, and as a browser shows it; results in a notebook."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from conftest import checkpoint, make_runs

from nccli import collapse, html
from nccli.cli.app import run as run_command
from nccli.compare import compare
from nccli.groups import grouped, groups_of
from nccli.observe import observe_run
from nccli.report import report_page
from nccli.result import quantities
from nccli.runs import find_runs

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
VOID = {"meta", "img", "br"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Outline(HTMLParser):
    """Every tag is closed, and what the page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.ids, self.pictures = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.loads += [given[name] for name in ("src", "href", "action", "data") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        self.pictures += tag == "img"
        assert not any(name.startswith("on") for name in given)
        assert tag not in {"script", "iframe", "object", "link"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(page):
    found = Outline()
    found.feed(page)
    assert found.open == []
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "runs"
    return make_runs(folder, epochs=(1, 10), seeds=(0, 1))


def page_of(folder, **options):
    words = [("runs", [observe_run(path)[0] for path in sorted(find_runs(folder))])]
    pairs = grouped(words)
    words_given = {"title": "A title", "command": "nccli report runs", "when": WHEN}
    rows = [compare(*pair) for pair in pairs]
    return report_page(groups_of(words), pairs, rows, **(words_given | options)), pairs


@pytest.fixture(scope="module")
def made(runs):
    """The page and the pairs that are compared in it."""
    return page_of(runs)


def test_the_page_has_every_section_and_loads_nothing(made, runs):
    page, _ = made
    found = outline(page)
    assert found.ids == ["runs", "comparison", "figures", "collapse", "calibration",
                         "conditioning", "definitions", "origin"]  # fmt: skip
    assert all(one.startswith(("#", "data:image/svg+xml;base64,")) for one in found.loads)
    assert found.pictures == 17
    assert "default-src 'none'" in page
    assert page == page_of(runs)[0]  # the same runs, the same bytes


def test_its_numbers_are_those_of_the_comparison_and_the_runs(made):
    page, pairs = made
    (row,) = [one for one in compare(*pairs[0]) if one.key == "train.nc1"]
    assert f"× {html.number(row.ratio)}" in page
    assert f"[{html.number(row.low)}, {html.number(row.high)}]" in page
    run = pairs[0][0][0]
    assert f">{html.number(run.last.train.nc3)}<" in page
    assert f">{html.number(run.last.calibration.calibrated.ece)}<" in page
    assert f">{html.number(run.last.hessian.kappa_means_w)}<" in page


def test_words_of_files_and_of_the_command_do_nothing(runs):
    evil = "<script>alert(1)</script>\x1b[31m"
    page, _ = page_of(runs, title=evil, command=evil)
    outline(page)
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page


def test_one_group_has_a_page_without_a_comparison(tmp_path, capsys, monkeypatch):
    folder = make_runs(tmp_path / "runs", epochs=(1,), groups=(("ce", 0.0),))
    monkeypatch.chdir(tmp_path)
    assert run_command(["report", str(folder), "-o", "one.html"]) == 0
    assert capsys.readouterr().out == "one.html\n"
    found = outline((tmp_path / "one.html").read_text())
    assert "comparison" not in found.ids
    assert "figures" in found.ids


def test_the_command_lists_every_checkpoint_with_its_hash(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(["report", str(runs / "*ce*"), str(runs / "*ls*"), "--title", "CE, LS"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "<title>CE, LS</title>" in page
    for path in runs.glob("*/checkpoints/*.h5"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page
    assert run_command(["report", str(runs), "-o", "nowhere/r.html"]) == 3
    assert "nowhere: no such folder; make it first" in capsys.readouterr().err
    victim = tmp_path / "epoch-00001.h5"
    victim.write_bytes(b"mine")
    assert run_command(["report", str(runs), "-o", str(victim)]) == 2
    assert "a report is an HTML page; -o epoch-00001.html" in capsys.readouterr().err
    assert victim.read_bytes() == b"mine"
    (tmp_path / "folder").mkdir()
    assert run_command(["report", str(runs), "-o", "folder"]) == 0
    assert capsys.readouterr().out == "folder/report.html\n"


def test_what_cannot_be_written_is_one_line(runs, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nccli.cli.writing.publish_bytes", full)
    for words in (["report", str(runs)], ["figure", str(runs), "--of", "nc1", "--form", "csv"]):
        assert run_command(words) == 3
        assert "cannot be written: No space left on device" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_it(made, tmp_path):
    from PIL import Image

    (tmp_path / "page.html").write_text(made[0])
    words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,5000",
             f"--screenshot={tmp_path / 'page.png'}",
             f"file://{tmp_path / 'page.html'}"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=True)
    assert "Refused to" not in done.stderr  # what the policy forbids, the page does not ask for
    with Image.open(tmp_path / "page.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    assert {(0, 0x72, 0xB2), (0xD5, 0x5E, 0)} & colours  # the curves are drawn


# --- HTML of results ----------------------------------------------------------------------------


def test_a_notebook_shows_a_result_as_a_table():
    result = collapse.analyze(checkpoint(), split="train")
    shown = result._repr_html_()
    outline(shown)
    assert re.search(rf'>NC1</th><td class="number">{html.number(result.nc1)}<', shown)
    assert html.escaped(quantities(result)["nc1"].definition) in shown  # where the pointer rests


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (float("nan"), "–"), (0.000123456, "0.0001235"), (-2.5, "−2.5"),
        (1234, "1,234"), (True, "True"), ("<b>", "&lt;b&gt;"), (1e300, "1e+300"),
    ],
)  # fmt: skip
def test_numbers_and_words_of_cells(value, shown):
    assert html.number(value) == shown
