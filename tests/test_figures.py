"""Figures for print: what they show, the same bytes every time, and nothing left behind."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nccli import figures
from nccli.charts import palette
from nccli.collapse_report import CollapseReport
from nccli.errors import ContentError, MissingExtraError, NotFoundError, UsageError
from nccli.figures import style
from nccli.figures.series import mean_and_spread, series_of

SVG = "{http://www.w3.org/2000/svg}"
HERE = str(Path(__file__).parent)
EPOCHS = (1, 3, 10, 30, 100)
CE, LS = palette.LIGHT[:2]


def result(epoch=1, *, delta=0.0, seed: int | None = 0, split="train", run="run", **values):
    """A report as `analyze` makes it, with numbers that fall with the epoch, less on test."""
    fall = (1 + seed / 10 if seed else 1) / epoch ** (0.5 + delta)
    fall = fall if split == "train" else fall**0.5
    known = {"nc1": fall, "nc2_features": 0.8 * fall, "nc3": 0.5 * fall, "nc4": 0.4 * fall}
    return CollapseReport(
        path=f"/runs/{run}-{delta}-{seed}/checkpoints/epoch-{epoch:05}.h5",
        epoch=epoch,
        split=split,
        seed=seed,
        loss_name="label-smoothing" if delta else "cross-entropy",
        label_smoothing=delta,
        **known | values,
    )


def runs(*, deltas=(0.0, 0.1), seeds=(0,), splits=("train",)):
    return [
        result(epoch, delta=delta, seed=seed, split=split)
        for delta in deltas
        for seed in seeds
        for epoch in EPOCHS
        for split in splits
    ]


@pytest.fixture
def drawn(tmp_path):
    """Draw results as svg and give the root of its tree."""

    def draw(results, **options):
        path = tmp_path / "out.svg"
        figures.save_metric_figure(results, path, **options)
        return ElementTree.fromstring(path.read_bytes())

    return draw


def words(root):
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def lines(root, colour, panel=1):
    """The curves of a colour in a panel, without the key to them: style by path data."""
    (axes,) = [group for group in root.iter(f"{SVG}g") if group.get("id") == f"axes_{panel}"]
    found = {}
    for path in axes.iter(f"{SVG}path"):
        look = path.get("style") or ""
        if f"stroke: {colour}" in look and "fill: none" in look:
            found[path.get("d")] = look
    return found


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"), [("a.pdf", b"%PDF-"), ("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG\r\n")]
)
def test_the_suffix_chooses_the_format_and_only_the_figure_is_left(tmp_path, name, start):
    figures.save_metric_figure(runs(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_results_give_the_same_bytes_anywhere(tmp_path):
    """Another process, hash seed, home folder that cannot be made, and the user's own settings."""
    for form in figures.FORMATS:
        figures.save_metric_figure(runs(seeds=(0, 1)), tmp_path / f"here.{form}")
    (tmp_path / "matplotlibrc").write_text("axes.labelpad: 30\nxtick.direction: in\nbad line\n")
    code = (
        "from pathlib import Path; from test_figures import runs\n"
        "from nccli.figures import FORMATS, save_metric_figure\n"
        "for form in FORMATS:\n"
        "    save_metric_figure(runs(seeds=(0, 1)), Path(f'there.{form}'))\n"
    )
    # no folder can be made below a file
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), "/dev/null/home")
    inherited = {k: v for k, v in os.environ.items() if k not in ("MPLCONFIGDIR", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | homes | {"PYTHONPATH": HERE, "PYTHONHASHSEED": "7"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for form in figures.FORMATS:
        here, there = tmp_path / f"here.{form}", tmp_path / f"there.{form}"
        assert there.read_bytes() == here.read_bytes(), form


def test_pdf_fonts_are_embedded_truetype(tmp_path):
    figures.save_metric_figure(runs(), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"CreationDate" not in content


def test_a_figure_that_cannot_be_drawn_leaves_the_old_one(tmp_path):
    old = tmp_path / "a.svg"
    old.write_text("old")
    with pytest.raises(ContentError):
        figures.save_metric_figure([result(nc1=None)], old, names=["nc1"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.svg", "old")]


def test_matplotlib_is_imported_for_a_figure_only_and_pyplot_never(tmp_path):
    code = (
        "import sys; from pathlib import Path; from test_figures import runs\n"
        "from nccli import figures\n"
        "figures.check_figure(Path(sys.argv[1]))\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figures.save_metric_figure(runs(), Path(sys.argv[1]))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")],
        env=os.environ | {"PYTHONPATH": HERE},
        timeout=120,
        check=True,
    )


def test_settings_of_matplotlib_are_as_they_were_afterwards(tmp_path):
    import logging

    import matplotlib

    with matplotlib.rc_context({"font.size": 23.0}):
        before = dict(matplotlib.rcParams), logging.getLogger("matplotlib").level
        figures.save_metric_figure(runs(), tmp_path / "a.svg")
        assert (dict(matplotlib.rcParams), logging.getLogger("matplotlib").level) == before


# --- what is shown ------------------------------------------------------------------------------


def test_a_panel_a_metric_and_one_key_for_all(drawn):
    shown = words(drawn(runs(splits=("train", "test"))))
    for word in ("NC1", "NC2 means", "NC3", "NC4", "CE", "LS 0.1", "train", "test"):
        assert shown.count(word) == 1
    assert shown.count("epoch") == 4


def test_a_single_column_has_two_panels_beside_each_other(drawn):
    root = drawn(runs(), width=figures.COLUMN)
    assert words(root).count("epoch") == 2
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(3.3 * 72)


def test_losses_have_the_colours_of_the_terminal(drawn):
    root = drawn(runs())
    assert len(lines(root, CE)) == len(lines(root, LS)) == 1
    assert len(style.MARKERS) == len(palette.MARKERS) == len(palette.LIGHT)


def test_the_test_split_is_dashed_where_there_are_both_and_solid_alone(drawn):
    both = lines(drawn(runs(deltas=(0.0,), splits=("train", "test"))), CE).values()
    assert sorted("stroke-dasharray" in look for look in both) == [False, True]
    alone = lines(drawn(runs(deltas=(0.0,), splits=("test",))), CE).values()
    assert ["stroke-dasharray" in look for look in alone] == [False]


def test_an_undefined_value_is_a_gap(drawn):
    whole = [result(epoch) for epoch in EPOCHS]
    gap = [result(epoch, nc1=None) if epoch == 10 else result(epoch) for epoch in EPOCHS]
    ((data, _),) = lines(drawn(whole), CE).items()
    ((broken, _),) = lines(drawn(gap), CE).items()
    assert (data.count("M"), broken.count("M")) == (1, 2)


def test_seeds_are_thin_lines_under_their_mean(drawn):
    root = drawn(runs(deltas=(0.0,), seeds=(0, 1, 2)))
    found = lines(root, CE).values()
    assert sorted("stroke-width: 0.5" in look for look in found) == [False, True, True, True]
    assert "CE, 3 seeds" in words(root)
    assert "mean ± std over seeds" in words(root)


def test_runs_that_are_no_seeds_of_one_experiment_are_not_averaged(drawn):
    root = drawn([result(epoch, run=run) for run in ("old", "new") for epoch in EPOCHS])
    assert {"CE, old-0.0-0", "CE, new-0.0-0"} <= set(words(root))
    assert "mean ± std over seeds" not in words(root)


@pytest.mark.parametrize("log", [True, False])
def test_mean_and_spread_are_those_of_the_statistics_module(log):
    values = {1: [0.5, 0.25, 1.5], 10: [3.0, 2.0, 2.5]}
    curves = [{epoch: column[seed] for epoch, column in values.items()} for seed in range(3)]
    curves[0][100] = 7.0  # an epoch that the others did not save is left out
    epochs, mean, low, high = mean_and_spread(curves, log=log)
    assert epochs == [1, 10]
    for index, column in enumerate(values.values()):
        scaled = [math.log(value) for value in column] if log else column
        centre, std = statistics.mean(scaled), statistics.stdev(scaled)
        back = math.exp if log else float
        assert mean[index] == pytest.approx(back(centre), rel=1e-12)
        assert low[index] == pytest.approx(back(centre - std), rel=1e-12)
        assert high[index] == pytest.approx(back(centre + std), rel=1e-12)


def test_cross_entropy_keeps_its_colour_and_losses_do_not_depend_on_the_order_of_files():
    mixed = runs(deltas=(0.2, 0.0, 0.1))
    kinds = {one.label: one.kind for one in series_of(mixed)}
    assert kinds == {"CE": 0, "LS 0.1": 1, "LS 0.2": 2}
    assert {one.label: one.kind for one in series_of(mixed[::-1])} == kinds
    assert [one.kind for one in series_of(runs(deltas=(0.1,)))] == [1]


def test_axes_are_logarithmic_where_all_is_positive_and_spans_a_factor_of_ten(drawn):
    spanning = {"names": ["nc1"]}
    assert "0.1" in words(drawn(runs(), **spanning))
    assert "0.1" not in words(drawn(runs(), logs={"nc1": False}, **spanning))
    with_zero = [*runs(), result(300, nc1=0.0)]
    assert "0.1" not in words(drawn(with_zero, **spanning))


def test_what_is_defined_nowhere_has_no_panel_and_another_takes_its_place(drawn):
    shown = words(drawn([result(epoch, nc4=None, accuracy=0.9) for epoch in EPOCHS]))
    assert "NC4" not in shown
    assert "accuracy" in shown


def test_one_checkpoint_is_a_point(drawn):
    shown = words(drawn([result(200)]))
    assert "200" in shown
    assert not any(re.fullmatch(r"(199|200)\.\d+", word) for word in shown)


def test_names_from_files_are_words_never_formulas_or_commands(drawn):
    odd = [result(epoch, run="a$\\frac{b_1}$c<x>\x1b[31m中\n" + "d" * 99) for epoch in EPOCHS]
    root = drawn([*odd, *(result(epoch, run="other") for epoch in EPOCHS)])
    (name,) = [word for word in words(root) if word.startswith("CE, a")]
    assert name.startswith("CE, a$\\frac{b_1}$c<x>\\x1b[31m\\u4e2d\\n")
    assert len(name) < 60


# --- errors -------------------------------------------------------------------------------------


def test_an_unknown_suffix_lists_the_choices(tmp_path):
    with pytest.raises(
        UsageError, match=r"unknown figure format 'jpg'; try one of: a\.pdf, a\.svg"
    ):
        figures.save_metric_figure(runs(), tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="no figure format in this name"):
        figures.check_figure(tmp_path / "a")


def test_a_missing_folder_is_told_before_anything_is_drawn(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere: no such folder"):
        figures.check_figure(tmp_path / "nowhere" / "a.pdf")


def test_without_matplotlib_the_remedy_is_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nccli\[figures\]'"):
        figures.save_metric_figure(runs(), tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "no result has an epoch"),
        ([CollapseReport(nc1=1.0)], "no result has an epoch"),
        ([result(nc1=None)], "no result has a number for nc1"),
    ],
)
def test_nothing_to_draw_says_why(tmp_path, results, message):
    with pytest.raises(ContentError, match=message):
        figures.save_metric_figure(results, tmp_path / "a.pdf", names=["nc1"])


def test_an_unknown_field_lists_those_with_numbers(tmp_path):
    with pytest.raises(UsageError, match=r"no field 'nc9'; try one of: .*nc1, nc2_features, nc3"):
        figures.save_metric_figure(runs(), tmp_path / "a.pdf", names=["nc9"])


def test_two_results_at_one_epoch_of_one_run_are_refused(tmp_path):
    with pytest.raises(UsageError, match="a second result at epoch 3 of one run"):
        figures.save_metric_figure([*runs(), result(3)], tmp_path / "a.pdf")
