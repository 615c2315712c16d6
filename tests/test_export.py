"""What key `e` takes away: exact numbers with their origin, inert words, never over a file."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
import math
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from nccli import __version__
from nccli.charts import Bin, Reference, Series
from nccli.errors import (
    ContentError,
    InputError,
    MissingExtraError,
    NotFoundError,
    UsageError,
)
from nccli.export import FORMS, Diagram, Matrix, Origin, Plotted, Table, export, exported, forms
from nccli.export.provenance import hashed
from nccli.figures import plotted_figure
from nccli.figures.style import matplotlib_ready, pen

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
COMMAND = "nccli analyze runs --format csv"
ORIGIN = Origin(command=COMMAND)
HOSTILE = 'a\n1,"2"\x1b[31m,"[bold]x[/]#\u2028<b>&$x$\u202e'

CURVES = Plotted(
    title="NC1 (train)",
    name="train-nc1",
    series=(
        Series(
            label="CE",
            x=(1, 2, 3),
            y=(0.1, None, 1 / 3),
            kind=0,
            low=(0.05, None, 0.3),
            high=(0.2, None, 0.4),
        ),
        Series(label="LS 0.1", x=(1, 2, 3), y=(1e-17, math.nan, 2.0), kind=1),
    ),
    y_log=True,
    references=(Reference(value=-1 / 9, label="ETF"), Reference(value=0.2, label="UFM")),
    text="a picture\n  of it",
)
RELIABILITY = Plotted(
    title="Reliability",
    name="reliability",
    diagrams=tuple(
        Diagram(
            label=label,
            kind=kind,
            bins=(
                Bin(lower=0.0, upper=0.5, count=0, confidence=None, accuracy=None),
                Bin(lower=0.5, upper=0.75, count=30, confidence=0.6, accuracy=0.7),
                Bin(lower=0.75, upper=1.0, count=10, confidence=0.9, accuracy=0.8),
            ),
        )
        for kind, label in enumerate(("CE", "LS 0.1"))
    ),
)
COSINES = ((1.0, -0.4, -0.6), (-0.4, 1.0, -0.5), (-0.6, -0.5, 1.0))
GRAM = Plotted(
    title="Class means",
    name="gram",
    matrices=tuple(
        Matrix(label=label, values=COSINES, classes=(0, 1, "cat"), target=-0.5)
        for label in ("CE", "LS 0.1")
    ),
)
TABLE = Plotted(
    title="Numbers",
    name="Calibration table",
    table=Table(columns=("metric", "#", "CE, mean"), rows=(("ECE", 3, 0.1), ('a "b"', None, 2e-9))),
    text="a table",
)
EVERY = (CURVES, RELIABILITY, GRAM, TABLE)


@pytest.fixture
def origin(tmp_path):
    """A command, and two checkpoints on disk."""
    paths = tmp_path / "runs" / "a.h5", tmp_path / "runs" / "b.h5"
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(path.name.encode() * 700_000)  # more than one block
    return Origin(command=COMMAND, files=paths)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "out"
    made.mkdir()
    return made


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def text(plotted, form, origin=ORIGIN):
    return exported(plotted, origin, form, when=WHEN).decode()


def table(plotted):
    """Header and rows of the CSV, without comments, as the csv module reads them."""
    lines = [line for line in text(plotted, "csv").splitlines() if not line.startswith("#")]
    header, *rows = csv.reader(lines, strict=True)
    return header, rows


def panels(plotted):
    """The axes of the figure, drawn."""
    with matplotlib_ready():
        figure = plotted_figure(plotted)
        figure.draw_without_rendering()
    return figure.axes


# --- CSV ----------------------------------------------------------------------------------------


def test_curves_are_a_row_a_point_and_numbers_round_trip():
    header, rows = table(CURVES)
    assert header == ["series", "epoch", "y", "low", "high"]
    assert rows[:3] == [
        ["CE", "1", "0.1", "0.05", "0.2"],
        ["CE", "2", "", "", ""],
        ["CE", "3", repr(1 / 3), "0.3", "0.4"],
    ]
    assert rows[3:] == [
        ["LS 0.1", "1", "1e-17", "", ""],
        ["LS 0.1", "2", "", "", ""],
        ["LS 0.1", "3", "2.0", "", ""],
    ]


def test_curves_without_spread_have_no_columns_for_it_and_x_keeps_its_name():
    one = Series(label="CE", x=np.array([0.5, 1.5]), y=np.array([np.float32(0.5), np.inf]), kind=0)
    plotted = Plotted(title="t", name="n", series=(one,), x_label="confidence")
    assert table(plotted) == (
        ["series", "confidence", "y"],
        [["CE", "0.5", "0.5"], ["CE", "1.5", "inf"]],
    )


def test_reliability_diagrams_are_a_row_a_bin():
    header, rows = table(RELIABILITY)
    assert header == ["series", "lower", "upper", "count", "confidence", "accuracy"]
    assert rows[:2] == [
        ["CE", "0.0", "0.5", "0", "", ""],
        ["CE", "0.5", "0.75", "30", "0.6", "0.7"],
    ]
    assert [row[0] for row in rows] == ["CE"] * 3 + ["LS 0.1"] * 3


def test_matrices_are_a_row_a_pair_under_the_names_of_the_classes():
    header, rows = table(GRAM)
    assert header == ["series", "row", "column", "cosine"]
    assert len(rows) == 2 * 9
    assert rows[2] == ["CE", "0", "cat", "-0.6"]
    assert "# target: CE, -0.5\n" in text(GRAM, "csv")


def test_a_table_keeps_its_own_columns():
    assert table(TABLE) == (
        ["metric", "#", "CE, mean"],
        [["ECE", "3", "0.1"], ['a "b"', "", "2e-09"]],
    )


def test_numpy_reads_the_numbers_past_the_comments(origin):
    content = io.StringIO(text(CURVES, "csv", origin))
    read = np.genfromtxt(content, comments="#", delimiter=",", usecols=(1, 2), dtype=float)
    points = read[1:]  # the header has no numbers
    assert points[:, 0].tolist() == [1, 2, 3, 1, 2, 3]
    assert points[[0, 2, 3, 5], 1].tolist() == [0.1, 1 / 3, 1e-17, 2.0]
    assert np.isnan(points[[1, 4], 1]).all()


def test_comments_say_where_the_numbers_come_from(origin):
    comments = [line for line in text(CURVES, "csv", origin).splitlines() if line[0] == "#"]
    assert comments == [
        "# title: NC1 (train)",
        f"# command: {COMMAND}",
        f"# nccli: {__version__}",
        "# created: 2026-03-04T05:06:07Z",
        *[f"# file: {path}, sha256 {digest(path)}" for path in origin.files],
        f"# reference: ETF, {-1 / 9!r}",
        "# reference: UFM, 0.2",
    ]


def test_hostile_words_stay_in_their_comment_and_their_field():
    """A newline, escape codes, quotes after commas, markup, a comment sign."""
    one = Series(label=HOSTILE, x=(1,), y=(0.5,), kind=0)
    plotted = Plotted(title=HOSTILE, name="n", series=(one,), x_label=HOSTILE)
    origin = Origin(command=HOSTILE, files=(Path(HOSTILE), Path("b\0")))
    content = text(plotted, "csv", origin)
    lines = content.split("\n")
    assert [line[:2] for line in lines[:6]] == ["# "] * 6
    assert len(lines) == 6 + 2 + 1
    assert all(line.isprintable() for line in lines)
    # even a reader that knows no comments finds the records where they are
    *_, header, row = csv.reader(io.StringIO(content), strict=False)
    shown = 'a\\n1,"2"\\x1b[31m,"[bold]x[/]#\\u2028<b>&$x$\\u202e'
    assert (header, row) == (["series", shown, "y"], [shown, "1", "0.5"])


# --- JSON and text ------------------------------------------------------------------------------


def strict(content):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(content, parse_constant=refuse)


def test_json_has_the_numbers_and_their_origin(origin):
    found = strict(text(CURVES, "json", origin))
    assert found["title"] == "NC1 (train)"
    assert found["provenance"] == {
        "nccli": __version__,
        "created": "2026-03-04T05:06:07Z",
        "command": COMMAND,
        "files": [{"path": str(path), "sha256": digest(path)} for path in origin.files],
    }
    assert found["series"][0] == {
        "label": "CE",
        "x": [1, 2, 3],
        "y": [0.1, None, 1 / 3],
        "low": [0.05, None, 0.3],
        "high": [0.2, None, 0.4],
    }
    assert found["series"][1] == {"label": "LS 0.1", "x": [1, 2, 3], "y": [1e-17, None, 2.0]}
    assert found["references"][0] == {"label": "ETF", "value": -1 / 9}
    assert (found["x"], found["y"]) == ({"label": "epoch", "log": False}, {"log": True})


def test_json_has_bins_matrices_and_tables_as_they_are():
    bins = strict(text(RELIABILITY, "json"))["diagrams"][1]["bins"]
    assert bins[0] == {
        "lower": 0.0,
        "upper": 0.5,
        "count": 0,
        "confidence": None,
        "accuracy": None,
    }
    assert strict(text(GRAM, "json"))["matrices"][0] == {
        "label": "CE",
        "classes": [0, 1, "cat"],
        "target": -0.5,
        "cosines": [list(row) for row in COSINES],
    }
    assert strict(text(TABLE, "json"))["table"] == {
        "columns": list(TABLE.table.columns),
        "rows": [list(row) for row in TABLE.table.rows],
    }


def test_json_of_numpy_numbers_and_what_is_not_finite():
    one = Series(label="a", x=np.arange(3), y=np.array([np.nan, np.inf, 0.1]), kind=0)
    found = strict(text(Plotted(title=HOSTILE, name="n", series=(one,)), "json"))
    assert (found["title"], found["series"][0]["x"]) == (HOSTILE, [0, 1, 2])
    assert found["series"][0]["y"] == [None, None, 0.1]


def test_text_is_the_picture_then_its_origin():
    lines = text(CURVES, "txt").splitlines()
    assert lines[:4] == ["a picture", "  of it", "", "title: NC1 (train)"]
    with pytest.raises(UsageError, match="no picture as text of this; export it as csv"):
        exported(GRAM, ORIGIN, "txt")


# --- origin -------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_has_a_reason_and_no_hash(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    odd = Path(os.fsdecode(b"/nowhere/\xff"))
    origin = Origin(command=COMMAND, files=(tmp_path / "gone.h5", pipe, odd))
    files = strict(text(CURVES, "json", origin))["provenance"]["files"]
    assert [one["sha256"] for one in files] == [None] * 3
    assert files[0]["reason"] == "No such file or directory"
    assert files[1]["reason"] == "not a regular file"
    assert files[2]["path"] == "/nowhere/\\xff"
    assert "gone.h5, not read: No such file or directory\n" in text(CURVES, "csv", origin)


def test_progress_is_told_a_file_at_a_time_and_none_is_hashed_twice(origin):
    told = []
    twice = Origin(command=COMMAND, files=origin.files * 2)
    exported(CURVES, twice, "csv", watch=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


# --- files --------------------------------------------------------------------------------------


def test_nothing_is_ever_overwritten(folder):
    (folder / "nccli-train-nc1-2.csv").symlink_to("nowhere")  # taken, though it leads nowhere
    first, second = (export(CURVES, ORIGIN, "csv", folder, when=WHEN) for _ in range(2))
    other = export(CURVES, ORIGIN, "json", folder, when=WHEN)
    names = [path.name for path in (first, second, other)]
    assert names == ["nccli-train-nc1.csv", "nccli-train-nc1-3.csv", "nccli-train-nc1.json"]
    assert first.read_bytes() == second.read_bytes() == text(CURVES, "csv").encode()
    assert len(list(folder.iterdir())) == 4  # no temporary file is left


def test_of_two_that_export_at_once_each_has_a_file(folder, monkeypatch):
    """The other one takes the name between our look and our writing."""
    real, taken = Path.open, []

    def late(path, mode="r", *args, **options):
        if mode == "xb" and not taken:
            taken.append(path.write_text("theirs"))
        return real(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", late)
    assert export(CURVES, ORIGIN, "csv", folder).name == "nccli-train-nc1-2.csv"
    assert (folder / "nccli-train-nc1.csv").read_text() == "theirs"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../a b;rm", "nccli-a-b-rm.csv"),
        ("gram\n\x1b[1m", "nccli-gram-1m.csv"),
        ("…", "nccli-export.csv"),
        ("x" * 300, f"nccli-{'x' * 80}.csv"),
    ],
)
def test_the_name_is_one_that_any_file_system_takes(folder, name, file):
    path = export(Plotted(title="t", name=name, table=TABLE.table), ORIGIN, "csv", folder)
    assert (path.parent, path.name) == (folder, file)


def test_a_missing_folder_is_told_before_anything_is_hashed(folder, origin):
    told = []
    with pytest.raises(NotFoundError, match="gone: no such folder; make it first"):
        export(CURVES, origin, "csv", folder / "gone", watch=lambda *done: told.append(done))
    assert not told


def test_a_folder_that_is_closed_to_us_is_told(folder, monkeypatch):
    folder.chmod(0o500)
    if os.geteuid() == 0:  # root may write anywhere
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NotFoundError, match="no permission to write there; start nccli in another"):
        export(CURVES, ORIGIN, "csv", folder)


def test_a_full_disk_is_one_line_and_leaves_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nccli.export.saving.publish_bytes", full)
    with pytest.raises(InputError, match="out: cannot write the csv file: No space left on device"):
        export(CURVES, ORIGIN, "csv", folder)
    assert list(folder.iterdir()) == []


def test_what_cannot_be_exported_says_why(folder):
    with pytest.raises(UsageError, match="unknown form 'xml'; try one of: csv, json, txt, tex"):
        export(CURVES, ORIGIN, "xml", folder)
    with pytest.raises(UsageError, match="a table is no figure; export it as csv"):
        export(TABLE, ORIGIN, "pdf", folder)
    with pytest.raises(ContentError, match="nothing to export: no numbers behind 'empty'"):
        export(Plotted(title="empty", name="n"), ORIGIN, "csv", folder)


def test_without_matplotlib_there_are_no_figures_and_the_remedy_is_the_extra(monkeypatch):
    assert forms() == FORMS
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert forms() == ("csv", "json", "txt", "tex")
    with pytest.raises(MissingExtraError, match=r"pip install 'nccli\[figures\]'"):
        exported(CURVES, ORIGIN, "svg")


def test_importing_and_writing_numbers_needs_neither_numpy_nor_matplotlib_nor_textual():
    code = (
        "import sys\n"
        "from nccli.export import Origin, Plotted, Table, exported\n"
        "table = Table(columns=('a',), rows=((1.5,),))\n"
        "exported(Plotted(title='t', name='n', table=table), Origin(command='c'), 'csv')\n"
        "print([m for m in ('numpy', 'matplotlib', 'textual', 'rich') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[]\n"


# --- figures ------------------------------------------------------------------------------------


def same(drawn, expected):
    return np.array_equal(np.asarray(drawn, float), np.asarray(expected, float), equal_nan=True)


def test_curves_are_lines_with_their_numbers_and_looks():
    (axes,) = panels(CURVES)
    first, second = (line for line in axes.lines if not line.get_label().startswith("_"))
    assert same(first.get_xdata(), [1, 2, 3])
    assert same(first.get_ydata(), [0.1, np.nan, 1 / 3])
    assert same(second.get_ydata(), [1e-17, np.nan, 2.0])
    for kind, line in enumerate((first, second)):
        assert (line.get_color(), line.get_marker()) == (pen(kind)["color"], pen(kind)["marker"])
    assert (axes.get_yscale(), axes.get_xscale()) == ("log", "linear")
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("epoch", "NC1 (train)")
    (key,) = axes.figure.legends
    assert [word.get_text() for word in key.get_texts()] == ["CE", "LS 0.1", "spread"]


def test_spread_is_a_band_from_low_to_high():
    (axes,) = panels(CURVES)
    (band,) = axes.collections
    corners = {tuple(point) for path in band.get_paths() for point in path.vertices.tolist()}
    assert {(1, 0.05), (1, 0.2), (3, 0.3), (3, 0.4)} <= corners
    assert not any(x == 2 for x, _ in corners)


def test_a_band_that_reaches_zero_goes_to_the_bottom_of_a_logarithmic_axis():
    one = Series(label="a", x=(1, 2), y=(0.1, 0.2), kind=0, low=(0.05, -0.1), high=(0.2, 0.3))
    (axes,) = panels(Plotted(title="t", name="n", series=(one,), y_log=True))
    (band,) = axes.collections
    lowest = min(point[1] for path in band.get_paths() for point in path.vertices.tolist())
    assert 0 < lowest < axes.get_ylim()[0] <= 0.05


def test_references_are_dashed_with_labels_and_an_arrow_where_they_are_off_the_axis():
    (axes,) = panels(CURVES)
    (dashed,) = (line for line in axes.lines if line.is_dashed())
    assert same(dashed.get_ydata(), [0.2, 0.2])
    assert [label.get_text() for label in axes.texts] == ["↓ ETF −0.111", "UFM 0.2"]


def test_labels_of_references_are_apart_where_their_lines_are_not():
    close = tuple(Reference(value=0.3 + k / 1000, label=str(k)) for k in range(3))
    one = Series(label="a", x=(1, 2), y=(0.1, 0.9), kind=0)
    (axes,) = panels(Plotted(title="t", name="n", series=(one,), references=close))
    heights = [label.get_position()[1] for label in axes.texts]
    assert min(np.diff(heights)) > 0.05


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("y", [(0.31, 0.39), (None, None), (0.5, 0.5), (-1.0, 0.0), (1e-9, 1e9)])
def test_odd_curves_have_a_panel_with_ticks_and_no_warning(y, log):
    one = Series(label="a", x=(1.5, 2), y=y, kind=9)
    plotted = Plotted(title="t", name="n", series=(one,), x_log=log, y_log=log)
    (axes,) = panels(plotted)
    low, high = axes.get_ylim()
    if any(value is not None and (value > 0 or not log) for value in y) and y[0] != y[1]:
        assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


def test_reliability_diagrams_stand_side_by_side_with_gaps_and_counts():
    upper, other, lower, _ = panels(RELIABILITY)
    assert (upper.get_title(), other.get_title()) == (
        "CE\nECE 0.1000, n 40",
        "LS 0.1\nECE 0.1000, n 40",
    )
    bars = [(bar.get_x(), bar.get_y(), bar.get_height()) for bar in upper.patches]
    expected = [(0.5, 0, 0.7), (0.5, 0.7, -0.1), (0.75, 0, 0.8), (0.75, 0.8, 0.1)]
    assert np.allclose(bars, expected, rtol=0, atol=1e-15)  # empty bins have no bar
    hatches = [bar.get_hatch() for bar in upper.patches]
    assert len(set(hatches)) == 3  # none, over and under
    tops = [bar.get_y() + bar.get_height() for bar in lower.patches]
    assert tops == pytest.approx([30, 10])
    assert lower.get_yscale() == "log"


def test_heatmaps_share_a_scale_with_the_target_on_its_bar():
    first, second, bar = panels(GRAM)
    for axes in (first, second):
        (image,) = axes.images
        assert same(image.get_array(), COSINES)
        assert image.get_clim() == (-1.0, 1.0)
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "1", "cat"]
    assert (first.get_title(), second.get_title()) == ("CE", "LS 0.1")
    assert [word.get_text() for word in bar.texts] == ["ETF −0.5"]
    assert any(same(line.get_ydata(), [-0.5, -0.5]) for line in bar.lines)


def test_many_classes_have_neither_numbers_nor_all_labels():
    many = Matrix(label="t", values=np.eye(30).tolist(), classes=tuple(range(30)))
    axes, bar = panels(Plotted(title="t", name="n", matrices=(many,)))
    assert len(axes.texts) == len(bar.texts) == 0
    assert axes.get_yticks().tolist() == list(range(0, 30, 5))


@pytest.mark.parametrize(
    ("plotted", "form"),
    [(CURVES, "svg"), (CURVES, "pdf"), (CURVES, "png"), (RELIABILITY, "svg"), (GRAM, "svg")],
)
def test_a_figure_carries_its_origin_and_is_the_same_every_time(plotted, form, origin):
    content = exported(plotted, origin, form, when=WHEN)
    hashes = [digest(path) for path in origin.files]
    for word in (COMMAND, *hashes, plotted.title.split("(")[0], "2026-03-04T05:06:07Z"):
        assert word.encode() in content
    assert exported(plotted, origin, form, when=WHEN) == content


def test_the_description_of_an_svg_is_the_provenance_line_by_line(origin):
    root = ElementTree.fromstring(exported(CURVES, origin, "svg", when=WHEN))
    (description,) = root.iter("{http://purl.org/dc/elements/1.1/}description")
    comments = re.findall(r"^# (.*)$", text(CURVES, "csv", origin), re.MULTILINE)
    assert description.text.splitlines() == comments[:-2]  # references are drawn


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_hostile_words_are_drawn_and_described_as_words(form):
    series = (Series(label=HOSTILE, x=(1,), y=(0.5,), kind=0),)
    matrix = Matrix(label=HOSTILE, values=((1.0,),), classes=(HOSTILE,))
    diagram = Diagram(label=HOSTILE + "x" * 200, kind=0, bins=())
    origin = Origin(command=HOSTILE, files=(Path(os.fsdecode(b"\xff\n")),))
    marks = (Reference(value=0.5, label=HOSTILE),)
    for parts in (
        {"series": series, "references": marks, "x_label": HOSTILE},
        {"matrices": (matrix,)},
        {"diagrams": (diagram,)},
    ):
        plotted = Plotted(title=HOSTILE + " word" * 90, name="n", **parts)
        content = exported(plotted, origin, form, when=WHEN)
        assert b"\x1b[31m" not in content
        if form == "svg":
            words = " ".join(ElementTree.fromstring(content).itertext())
            assert 'a\\n1,"2"\\x1b[31m' in words


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    opened = []
    real = Path.open

    def spied(self, *words, **options):
        opened.append(self)
        return real(self, *words, **options)

    monkeypatch.setattr(Path, "open", spied)
    assert hashed(path).sha256 == hashed(path).sha256 == hashlib.sha256(b"one").hexdigest()
    assert len(opened) == 1
    path.unlink()
    path.write_bytes(b"another")
    assert hashed(path).sha256 == hashlib.sha256(b"another").hexdigest()
