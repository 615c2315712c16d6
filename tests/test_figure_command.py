"""`nccli figure`: the numbers that are drawn, where they come from, and where the files go."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess

import pytest
from conftest import make_runs

from nccli.cli.app import run as run_command
from nccli.compare import COMPARED
from nccli.errors import UsageError
from nccli.export import Matrix, Plotted, Table
from nccli.export.pgfplots import to_tex
from nccli.export.provenance import Provenance
from nccli.figures.axes import log_ticks
from nccli.figures.style import STYLE_FILE, matplotlib_ready
from nccli.groups import groups_of
from nccli.observe import observe_run
from nccli.plots import charts, chosen, number_plot
from nccli.runs import find_runs

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "runs"
    return make_runs(folder, epochs=(1, 10, 100), seeds=(0, 1))


@pytest.fixture(scope="module")
def groups(runs):
    return groups_of([("runs", [observe_run(path)[0] for path in sorted(find_runs(runs))])])


@pytest.fixture
def call(runs, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def calling(*words):
        code = run_command(["figure", *words])
        captured = capsys.readouterr()
        return code, captured.out.split(), captured.err

    return lambda *words: calling(str(runs), *words)


def test_a_curve_is_the_mean_of_the_seeds_with_their_ends(groups):
    row = next(row for row in COMPARED if row.key == "train.nc1")
    plotted = number_plot(groups, row)
    assert [one.label for one in plotted.series] == ["CE ×2", "LS 0.1 ×2"]
    for one, group in zip(plotted.series, groups, strict=True):
        values = [run.series("train.nc1") for run in group]
        assert one.x == [1.0, 10.0, 100.0]
        assert one.y == pytest.approx([sum(v[e] for v in values) / 2 for e in (1, 10, 100)])
        assert one.low == [min(v[e] for v in values) for e in (1, 10, 100)]
    assert plotted.x_log
    assert plotted.y_log


def test_every_chart_has_its_numbers_and_an_accuracy_is_never_logarithmic(groups):
    plots = {name: chart.plot(groups) for name, chart in charts().items()}
    empty = {name for name, one in plots.items() if not one.drawable}
    assert empty == set()
    assert not plots["test.accuracy"].y_log
    assert [one.title for one in plots["collapse"].panels] == [
        "NC1 train", "NC2 means", "NC3", "ECE test",
    ]  # fmt: skip
    report = groups[0][0].last.calibration
    assert plots["reliability"].diagrams[0].bins == report.bins
    assert plots["reliability-after"].diagrams[0].bins == report.calibrated.bins
    assert len(plots["gram"].matrices) == 2


def test_names_may_be_short_and_a_wrong_one_is_guessed():
    assert [one.name for one in chosen("nc1, ece,gram")] == ["train.nc1", "calibration.ece", "gram"]
    assert len(chosen("all")) == len(COMPARED) + 6
    with pytest.raises(UsageError, match="no chart 'nc9'; did you mean nc"):
        chosen("nc9")


def test_one_file_has_the_form_of_its_name_and_says_where_it_is_from(call, runs, tmp_path):
    code, out, err = call("--of", "nc1", "-o", "nc1.csv")
    assert (code, out, err) == (0, ["nc1.csv"], "")
    text = (tmp_path / "nc1.csv").read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO(text.split(comments[-1])[1].lstrip())))
    assert len(rows) == 6
    assert any("command: nccli figure" in line and "--of nc1" in line for line in comments)
    one = next(runs.glob("*ce-s0/checkpoints/epoch-00001.h5"))
    assert hashlib.sha256(one.read_bytes()).hexdigest() in text
    assert sum("sha256" in line for line in comments) == 12


def test_a_folder_gets_a_file_a_chart_and_form(call, tmp_path):
    words = ("--of", "nc1,gram", "--form", "svg,json,tex,png,pdf", "-o", "made/here")
    code, out, _ = call(*words)
    assert code == 0
    assert len(out) == len(list((tmp_path / "made/here").iterdir())) == 10
    before = {path: path.read_bytes() for path in (tmp_path / "made/here").iterdir()}
    call(*words)
    assert before == {path: path.read_bytes() for path in (tmp_path / "made/here").iterdir()}


def test_panels_have_each_its_numbers(call, tmp_path):
    call("--form", "svg,json", "-o", "made/here")
    found = json.loads((tmp_path / "made/here/collapse.json").read_text())
    titles = [panel["title"] for panel in found["panels"]]
    assert titles == ["NC1 train", "NC2 means", "NC3", "ECE test"]
    svg = (tmp_path / "made/here/collapse.svg").read_text()
    assert "NC2 means" in svg
    assert "sha256" in svg


@pytest.mark.parametrize(("width", "points"), [("column", 237.6), ("page", 504), ("5", 360)])
@pytest.mark.parametrize("of", ["collapse", "nc1", "reliability", "gram"])
def test_a_figure_has_the_width_that_was_asked_for(call, tmp_path, width, points, of):
    call("--of", of, "--width", width, "-o", "one.svg")
    svg = (tmp_path / "one.svg").read_text()
    assert float(re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)[1]) == pytest.approx(points)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--of", "nc1,nc3", "-o", "a.pdf"), 2, "2 charts do not fit into one file"),
        (("-o", "a.gif"), 2, "choices: pdf, svg, png, tex, csv, json"),
        (("--form", "pdf,gif"), 2, "cannot read the form 'gif'"),
        (("--width", "wide"), 2, "column, page, or inches from 1.5 to 40"),
        (("--groups", "seed"), 2, "choices: auto, loss, words"),
        (("-o", "missing/a.pdf"), 3, "missing: no such folder"),
        (("--of", "nc9"), 2, "no chart 'nc9'"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_measured(call, words, code, told):
    found = call(*words)
    assert found[0] == code
    assert told in found[2]
    assert not found[1]


def test_a_chart_without_numbers_is_told_and_the_others_are_drawn(tmp_path, capsys, monkeypatch):
    folder = make_runs(tmp_path / "runs", epochs=(1,), groups=(("ce", 0.0),))
    monkeypatch.chdir(tmp_path)
    code = run_command(["figure", str(folder), "--of", "nc1", "-o", "one.csv"])
    assert code == 0
    code = run_command(["figure", "--of", "nc1"])
    assert code == 2
    assert "no runs given" in capsys.readouterr().err


def test_the_style_file_is_the_style(capsys):
    import matplotlib as mpl

    assert run_command(["figure", "--style"]) == 0
    assert capsys.readouterr().out == STYLE_FILE.read_text()
    ours = mpl.rc_params_from_file(STYLE_FILE, use_default_template=False)
    with matplotlib_ready():
        assert {name: mpl.rcParams[name] for name in ours} == dict(ours)


def test_log_ticks_are_counted_literally():
    ticks = [m * 10.0**k for k in range(-6, 6) for m in (1, 2, 5)]
    for low, high in ((0.0013, 0.098), (1, 1), (3, 4), (2e-5, 3e4)):
        assert log_ticks(low, high) == sum(low <= tick <= high for tick in ticks)


# --- pgfplots -----------------------------------------------------------------------------------

ORIGIN = Provenance(title="t", command="c", created=None, sources=())
DOCUMENT = r"""\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{pgfplots,amssymb}
\usepgfplotslibrary{fillbetween,groupplots}\pgfplotsset{compat=1.16}\begin{document}
%s\end{document}"""


def test_the_numbers_stand_in_the_picture(call, tmp_path, groups):
    call("--of", "nc1", "-o", "nc1.tex")
    text = (tmp_path / "nc1.tex").read_text()
    for run in groups[0]:
        assert f"1.0 {run.series('train.nc1')[1]!r}" in text  # an end of the band
    assert r"\legend{{CE $\times$2}, {LS 0.1 $\times$2}}" in text
    assert "ymode=log" in text


def test_words_of_files_do_nothing_in_a_picture(monkeypatch):
    monkeypatch.setattr(Provenance, "lines", lambda _: [])
    evil = "\\input{x}%_$"
    one = Matrix(label=evil, values=[[1.0, -0.5], [-0.5, 1.0]], classes=("a", "b"), target=None)
    text = to_tex(Plotted(title=evil, name="n", matrices=(one,)), ORIGIN)
    assert "\\input{x}" not in text
    assert r"\textbackslash{}input\{x\}\%\_\$" in text
    with pytest.raises(UsageError, match="a table is no figure"):
        to_tex(Plotted(title="t", name="n", table=Table(columns=("a",), rows=())), ORIGIN)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_takes_every_picture(call, tmp_path):
    code, out, _ = call("--of", "all", "--form", "tex", "-o", "tex")
    assert code == 0
    inputs = "".join(rf"\input{{{name}}}\newpage" + "\n" for name in out)
    (tmp_path / "all.tex").write_text(DOCUMENT % inputs)
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


# --- figures of other commands ------------------------------------------------------------------


def test_a_sweep_of_the_closed_form_is_a_panel_a_condition_number(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["hessian", "--classes", "10", "--sweep", "delta=0:0.9:10", "--sweep", "n=10,100"]
    assert run_command([*words, "--figure", "kappa.csv", "-f", "json"]) == 0
    captured = capsys.readouterr()
    points = json.loads(captured.out)
    assert "wrote kappa.csv" in captured.err
    lines = (tmp_path / "kappa.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    for name, panel in (("kappa_loss", 0), ("kappa_regularised", 1), ("kappa_joint", 2)):
        title = list(dict.fromkeys(row["panel"] for row in rows))[panel]
        found = {
            (row["series"], float(row["delta"])): row["y"] for row in rows if row["panel"] == title
        }
        for point in points:
            key = (f"n={point['per_class']}", point["label_smoothing"])
            assert float(found[key] or "nan") == pytest.approx(point[name], nan_ok=True)


def test_the_spectrum_and_measured_condition_numbers_have_figures(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(["hessian", "--classes", "4", "--figure", "spectrum.tex", "-f", "csv"]) == 0
    assert "xlabel={rank}" in (tmp_path / "spectrum.tex").read_text()
    assert run_command(["hessian", str(runs), "--figure", "kappa.svg", "-f", "csv"]) == 0
    assert "kappa" in (tmp_path / "kappa.svg").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--classes", "4", "--figure", "a.gif"), "choices: pdf, svg, png, tex, csv, json"),
        (("--classes", "4", "--figure", "no/a.pdf"), "no: no such folder"),
        (("sample", "--rates", "--figure", "a.pdf"), "--rates and --figure do not go together"),
        (("--network", "a:b", "--figure", "a.pdf"), "--figure goes with checkpoints"),
    ],
)
def test_a_figure_of_hessian_that_cannot_be_is_told_first(words, told, capsys):
    assert run_command(["hessian", *words]) in (2, 3)
    captured = capsys.readouterr()
    assert told in captured.err
    assert not captured.out


def test_nothing_is_kept_where_that_is_not_wanted_and_the_command_is_whole(
    tmp_path, monkeypatch, capsys
):
    folder = make_runs(tmp_path / "runs", epochs=(1, 2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "abc")  # no time: as if it were not set
    words = [str(folder), "--no-cache", "--of", "spectrum,gram,gram", "--form", "csv,csv"]
    assert run_command(["figure", *words, "--groups", "loss"]) == 0
    assert capsys.readouterr().out.split() == ["spectrum.csv", "gram.csv"]
    assert not list(folder.rglob(".nccli-cache"))
    assert "--groups loss" in (tmp_path / "gram.csv").read_text()
    assert run_command(["report", str(folder), "--no-cache", "--title", "Mine"]) == 0
    assert not list(folder.rglob(".nccli-cache"))
    assert "--title Mine" in (tmp_path / "report.html").read_text()
