"""The terminal UI beyond its first tabs: modes, Gram, Files, Notes, export, palette, memory."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shlex
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from textual.command import CommandPalette
from tui_runs import EPOCHS, Driver, drive, make_pair, make_run, save
from typer.testing import CliRunner

from nccli.charts import Look
from nccli.checkpoint import Metadata
from nccli.cli.app import app as command_line
from nccli.collapse import gram
from nccli.compare import t_interval
from nccli.errors import UsageError
from nccli.hdf5 import read_checkpoint, write_checkpoint
from nccli.observe import observe
from nccli.runs import checkpoint_path, read_run
from nccli.tui.curves import differences, overlaid, ratios
from nccli.tui.entry import Saved
from nccli.tui.export_menu import ExportMenu
from nccli.tui.findings import Angles, Job
from nccli.tui.key_commands import commands
from nccli.tui.measuring import Measurer, found_out
from nccli.tui.memory import Memory, memory_path
from nccli.tui.shelf import MOST_BYTES, Shelf
from nccli.tui.spectra import _over_deltas, sweeps
from nccli.tui.standing import standing
from nccli.tui.start import Start, read_levels
from nccli.tui.view import MODES, TABS, View

NC1 = "train.nc1"


def values(folder: Path, name: str, epoch: int, key: str = NC1) -> list[float]:
    """A number of each seed, measured anew."""
    runs = sorted(run for run in folder.iterdir() if run.name.startswith(name))
    found = [observe(checkpoint_path(run, epoch)).value(key) for run in runs]
    return [value for value in found if value is not None]


# --- groups: overlay, side by side, difference, ratio -------------------------------------------


def test_seeds_are_averaged_with_their_spread_subtracted_and_divided_by_seed(seeds):
    async def session(ui: Driver) -> None:
        ce, ls = (values(seeds, name, 4) for name in ("ce", "ls"))
        curve = overlaid(ui.state, NC1)[0]
        at = list(curve.x).index(4)
        assert len(overlaid(ui.state, NC1)) == 2
        assert curve.y[at] == pytest.approx(np.mean(ce))
        assert (curve.low[at], curve.high[at]) == (min(ce), max(ce))

        (change,) = differences(ui.state, NC1)
        low, high = t_interval([two - one for one, two in zip(ce, ls, strict=True)])
        assert change.y[at] == pytest.approx(np.mean(ls) - np.mean(ce))
        assert (change.low[at], change.high[at]) == pytest.approx((low, high))

        (ratio,) = ratios(ui.state, NC1)
        logs = np.log(np.array(ls) / np.array(ce))
        assert ratio.y[at] == pytest.approx(np.exp(logs.mean()))
        assert ratio.low[at] < ratio.y[at] < ratio.high[at]

    drive(seeds, session)


def test_c_cycles_through_the_modes_of_each_tab(seeds):
    async def session(ui: Driver) -> None:
        await ui.press("2")
        words = {
            "overlay": ["▲ LS ×3", "● CE ×3"],
            "side by side": ["CE s0", "CE s1", "LS 0.05 s2"],
            "difference": [", LS 0.05 − CE", "equal 0"],
            "ratio": [", LS 0.05 ÷ CE", "equal 1"],
        }
        for mode in MODES["collapse"]:
            assert ui.state.view.mode == mode
            await ui.sees(mode, *words[mode])
            await ui.press("c")
        assert ui.state.view.mode == "overlay"
        await ui.press("4", "c")
        await ui.sees("accuracy over confidence")
        await ui.press("c")
        await ui.sees("accuracy − confidence", "calibrated 0")

    drive(seeds, session)


def test_panels_side_by_side_share_their_axis(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "c")
        lines = ui.charts[0].splitlines()
        axis = [line.split("┤")[0].strip("▌ ") for line in lines if line.count("┤") == 2]
        other = [line.split("┤")[1].split()[-1] for line in lines if line.count("┤") == 2]
        assert len(axis) > 2
        assert axis == other

    drive(pair, session)


def test_one_group_alone_says_what_a_difference_needs(tmp_path):
    make_run(tmp_path / "ce-s0", epochs=(1, 2))

    async def session(ui: Driver) -> None:
        await ui.press("2", "c", "c")
        await ui.sees("this needs two groups")

    drive(tmp_path, session)


# --- axes and thresholds ------------------------------------------------------------------------


def test_plus_zooms_around_the_cursor_and_minus_shows_all_epochs_again(tmp_path):
    make_pair(tmp_path, epochs=range(1, 10))

    async def session(ui: Driver) -> None:
        await ui.press("2", *["left"] * 4)
        assert ui.state.epoch == 5
        await ui.press(*["X"] * ui.state.epochs_log, "+", "+")
        low, high = ui.state.window
        assert low <= 5 <= high
        assert high - low == pytest.approx(2)
        await ui.sees("epochs ×4")
        assert "9" not in ui.charts[0].splitlines()[-1]
        await ui.press("-", "-", "-")
        assert ui.state.window is None
        assert "9" in ui.charts[0].splitlines()[-1]

    drive(tmp_path, session)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("zoom", range(8))
@pytest.mark.parametrize("cursor", [1.0, 7.0, 300.0])
def test_the_window_lies_within_the_epochs_and_holds_the_cursor(log, zoom, cursor):
    view = View()
    view.zoom_by(zoom)
    window = view.window(1.0, 300.0, cursor, log=log)
    if not zoom:
        assert window is None
        return
    low, high = window
    assert 1 - 1e-9 <= low <= cursor + 1e-9
    assert cursor - 1e-9 <= high <= 300 + 1e-6
    assert low < high


def test_z_gives_the_data_the_room_of_the_theorys_marks(pair):
    async def session(ui: Driver) -> None:
        await ui.press("3")
        before = ui.charts
        await ui.press("z")
        await ui.sees("fit")
        assert ui.charts != before

    drive(pair, session)


def test_a_threshold_is_drawn_and_tells_from_which_epoch_on(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "L")
        await ui.press(*"0.005", "enter")
        await ui.until(lambda: ui.state.view.levels)
        found = []
        for name in ("ce-s0", "ls0.05-s0"):
            epochs = [e for e in EPOCHS if values(pair, name, e)[0] <= 0.005]
            found.append(str(epochs[0]) if epochs else "never")
        await ui.sees("level 0.005", f"≤ 0.005 first at  ● {found[0]}  ▲ {found[1]}")
        await ui.press("i")
        await ui.sees(f"LS 0.05: first at epoch {found[1]}")
        await ui.press("escape", *["down"] * 11, "L")
        await ui.sees("test accuracy: first epoch at or above")
        await ui.press("escape", *["up"] * 11, "L")
        await ui.press(*["backspace"] * 5, "enter")
        await ui.until(lambda: not ui.state.view.levels)
        await ui.press("L")
        await ui.press(*"x1", "enter")
        assert not ui.state.view.levels
        await ui.press("L", "escape")
        assert ui.app.return_code is None

    drive(pair, session)


# --- Gram ---------------------------------------------------------------------------------------


def cosines(path: Path) -> np.ndarray:
    return np.array(gram.analyze(read_checkpoint(path), split="train").features)


def test_the_gram_tab_shows_the_mean_cosines_of_the_seeds_and_their_difference(seeds):
    async def session(ui: Driver) -> None:
        await ui.press("5", "left")
        await ui.until(lambda: ui.app.idle)
        await ui.sees("CE ×3: class means", "LS 0.05 ×3: classifier", "ETF -0.5")
        runs = [checkpoint_path(seeds / f"ce-s{seed}", 4) for seed in range(3)]
        mean = np.mean([cosines(path) for path in runs], axis=0)
        other = np.mean(
            [cosines(checkpoint_path(seeds / f"ls0.05-s{seed}", 4)) for seed in range(3)], axis=0
        )
        drawn = ui.app.main.pane.charts[0].picture.plotted().matrices[0]
        assert np.array(drawn.values) == pytest.approx(mean, abs=1e-6)
        assert f"{mean[0, 1]:.2f}" in ui.charts[0]
        await ui.press("c")
        await ui.sees("LS 0.05 − CE: class means", "largest change")
        drawn = ui.app.main.pane.charts[0].picture.plotted().matrices[0]
        assert np.array(drawn.values) == pytest.approx(other - mean, abs=1e-6)

    drive(seeds, session)


def test_without_a_classifier_the_gram_tab_says_so_and_shows_the_means(tmp_path):
    make_run(tmp_path / "ce", epochs=(1,), classifier=False)

    async def session(ui: Driver) -> None:
        await ui.press("5")
        await ui.until(lambda: ui.app.idle)
        await ui.sees("CE: class means", "worst pair", "no classifier in the file")

    drive(tmp_path, session)


def test_the_shelf_forgets_the_oldest_but_never_the_newest():
    def angles(megabytes: int) -> Angles:
        matrix = np.zeros((megabytes, 2**18), dtype=np.float32)
        return Angles(target=None, classes=(), means=matrix, classifier=None)

    shelf = Shelf()
    for name in "abc":
        shelf.put(name, angles(MOST_BYTES // 2**21))  # half of it
    assert shelf.get("a") is None
    assert shelf.get("b") is not None
    shelf.put("d", angles(1))
    assert shelf.get("c") is None  # b was asked for since
    shelf.put("large", angles(MOST_BYTES // 2**20 + 1))
    assert shelf.get("large") is not None
    assert shelf.get("d") is None


# --- Files and Notes ----------------------------------------------------------------------------


def test_the_files_tab_shows_what_stands_in_the_file_and_what_check_says(pair):
    async def session(ui: Driver) -> None:
        await ui.press("6", "left")
        await ui.until(lambda: ui.app.idle)
        await ui.sees("ce-s0  epoch-00004.h5", "✓ sound: K 3, d 5", "features", "36 × 5", "NC1")
        await ui.sees("label_smoothing", "nccli-checkpoint")
        await ui.press("n")
        await ui.until(lambda: ui.app.idle)
        await ui.sees("ls0.05-s0  epoch-00004.h5")
        await ui.press(*["down"] * 6, "i")
        await ui.sees("/test/features", "one row a sample")

    drive(pair, session)


def test_a_broken_file_is_shown_with_its_error_and_where_it_stands(tmp_path):
    make_pair(tmp_path)
    checkpoint_path(tmp_path / "ce-s0", 4).write_bytes(b"no hdf5")

    async def session(ui: Driver) -> None:
        await ui.sees("epoch-00004.h5: not an HDF5 file")  # among the warnings
        await ui.press("2")
        assert "✗" in ui.charts[0].splitlines()[-2]  # on the axis, where the epoch is
        await ui.press("6", "left")
        await ui.until(lambda: ui.app.idle)
        await ui.sees("epoch-00004.h5", "✗ not an HDF5 file", "mend")

    drive(tmp_path, session)


def test_the_notes_tab_puts_what_differs_first(pair):
    async def session(ui: Driver) -> None:
        await ui.press("7")
        await ui.sees("≠ loss", "≠ label_smoothing", "cross-entropy", "label-smoothing")
        await ui.sees("2 settings not the same in the 2 picked runs")
        lines = [line for line in ui.text.splitlines() if "seed" in line or "≠ loss" in line]
        assert "≠ loss" in lines[0]
        await ui.press("i")
        await ui.sees("ls0.05-s0")

    drive(pair, session)


@pytest.mark.parametrize(
    ("tab", "words"),
    [
        ("5", ["nccli", "analyze", "--gram"]),
        ("6", ["nccli", "check", "--contents"]),
        ("7", ["cat"]),
    ],
)
def test_the_command_of_each_further_tab_runs(pair, tab, words):
    async def session(ui: Driver) -> None:
        await ui.press(tab, "W")
        await ui.sees("This screen again", "nccli view")
        await ui.press("c")
        await ui.until(lambda: bool(ui.app.clipboard))
        said = shlex.split(ui.app.clipboard)
        assert said[:2] == words[:2] if words[0] == "nccli" else said[0] == words[0]
        assert said[-1:] == words[2:] or len(words) < 3  # an option stands behind the paths
        if said[0] == "nccli":
            assert CliRunner().invoke(command_line, said[1:]).exit_code == 0
        else:
            assert all(Path(word).is_file() for word in said[1:])

    drive(pair, session)


# --- the palette --------------------------------------------------------------------------------


def test_every_action_of_the_palette_can_be_run(pair):
    async def session(ui: Driver) -> None:
        for name, action, line in commands():
            if action == "app.quit":
                continue
            await ui.press(str(1 + TABS.index(line.tabs[-1])))
            if line.scope == "runs":
                await ui.press("[")
            await ui.app.run_action(action, ui.app.screen)
            await ui.press()
            assert ui.app.return_code is None, name
            while ui.app.screen is not ui.app.main:
                await ui.press("escape")
            await ui.press("escape")

    drive(pair, session)


def test_the_palette_finds_an_action_by_its_words_and_does_it(pair):
    async def session(ui: Driver) -> None:
        await ui.press(":")
        await ui.until(lambda: isinstance(ui.app.screen, CommandPalette))
        await ui.press(*"gram tab")
        await ui.until(lambda: ui.app.screen.query_one("OptionList").option_count > 0)
        await ui.press("enter")
        await ui.until(lambda: ui.state.view.tab == "gram")

    drive(pair, session)


# --- export -------------------------------------------------------------------------------------


def test_e_writes_the_numbers_in_focus_with_their_origin(pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.press("2", "e")
        await ui.until(lambda: isinstance(ui.app.screen, ExportMenu))
        await ui.sees("Export: NC1", "CSV", "JSON")
        await ui.press("enter")
        await ui.until(lambda: list(tmp_path.glob("*.csv")))
        lines = next(tmp_path.glob("*.csv")).read_text().splitlines()
        told = [line for line in lines if line.startswith("#")]
        assert any("nccli analyze" in line for line in told)
        assert sum("sha256" in line or ".h5" in line for line in told) >= 2 * len(EPOCHS)
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        last = [row for row in rows if row["epoch"] in ("8", "8.0") and "CE" in row["series"]]
        assert float(last[0]["y"]) == values(pair, "ce-s0", 8)[0]

        await ui.press("4", "down", "down", "down", "down", *["down"] * 6, "e", "down", "enter")
        await ui.until(lambda: list(tmp_path.glob("*.json")))
        found = json.loads(next(tmp_path.glob("*.json")).read_text())
        assert found["provenance"]["files"][0]["sha256"]
        await ui.press("e", "escape")
        assert ui.app.screen is ui.app.main

    drive(pair, session)


def test_an_export_that_cannot_be_written_is_told(pair, tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    async def session(ui: Driver) -> None:
        ui.app.main.sidebar  # noqa: B018 - the app is up although there is no current directory
        await ui.press("2", "e", "enter")
        await ui.until(lambda: bool(getattr(ui.app, "exported", "")))
        assert ui.app.exported.startswith("not written: ")

    drive(pair, session)


# --- memory and deep links ----------------------------------------------------------------------


def test_the_next_session_starts_with_the_last_ones_switches(pair, tmp_path):
    path = memory_path({"XDG_STATE_HOME": str(tmp_path / "state")})

    async def first(ui: Driver) -> None:
        await ui.press("3", "y", "c", "T")

    async def second(ui: Driver) -> None:
        assert (ui.state.view.tab, ui.state.view.log) == ("hessian", False)
        assert ui.state.view.mode == "side by side"
        assert ui.state.look.light

    drive(pair, first, memory=Memory(path))
    drive(pair, second, memory=Memory(path))

    async def third(ui: Driver) -> None:
        assert ui.state.view.tab == "gram"  # what is asked for comes before what is remembered

    drive(pair, third, memory=Memory(path), tab="gram")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"view": 3, "light": "no"}',
        '{"view": {"tab": "x", "modes": {"gram": "ratio"}}}',
        '{"view": {"log": 1, "modes": []}}',
        "[" * 50_000,
    ],
)
def test_a_damaged_memory_is_passed_over(tmp_path, text):
    path = tmp_path / "view.json"
    path.write_text(text)
    view = View()
    view.recall(Memory(path).switches)
    assert view == View()
    assert Memory(path).light is None


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "view.json")
    memory.keep(View().remembered, light=False)
    assert memory_path({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path(
        "/h/.local/state/nccli/view.json"
    )
    assert memory_path({}) is None


def test_a_deep_link_opens_runs_tab_and_epoch(seeds):
    async def session(ui: Driver) -> None:
        assert {entry.name for entry in ui.state.picked} == {"ce-s1", "ls0.05-s1"}
        assert ui.state.epoch == 2
        assert ui.state.view.tab == "collapse"

    drive(seeds, session, tab="collapse", chosen=["ce-s1", "ls0.05-s1"], epoch=2)


def test_the_link_that_the_screen_gives_opens_it_again(pair, tmp_path):
    async def session(ui: Driver) -> None:
        await ui.press("5", "left", "W", "v")
        await ui.until(lambda: bool(ui.app.clipboard))

    words = shlex.split(drive(pair, session).clipboard)
    assert words[:2] == ["nccli", "view"]
    out = str(tmp_path / "again.svg")
    found = CliRunner().invoke(command_line, [*words[1:], "--screenshot", out])
    assert found.exit_code == 0, found.output
    svg = Path(out).read_text().replace("&#160;", " ")
    assert "worst pair" in svg
    assert "at epoch 4" in svg


def test_the_link_opens_the_same_mode_rival_zoom_and_thresholds(tmp_path):
    """Whatever a later session remembers, the picture is the one that the link was taken from."""
    for delta in (0.0, 0.05, 0.1):
        make_run(tmp_path / f"run-{delta}", epochs=(1, 2, 3, 4), delta=delta)
    seen = []

    def lines(ui):
        return [line.rstrip() for line in ui.text.split("\n")]

    async def session(ui: Driver) -> None:
        await ui.press("2", "c", "c", "n", "plus", "left")
        ui.state.view.levels["train.nc1"] = 0.02
        ui.app.main.renew()
        await ui.press()
        seen.append(lines(ui))
        await ui.press("W", "v")
        await ui.until(lambda: bool(ui.app.clipboard))

    chosen = [f"run-{delta}" for delta in (0.0, 0.05, 0.1)]
    words = shlex.split(drive(tmp_path, session, chosen=chosen).clipboard)
    link = dict(pairwise(words))
    assert link["--mode"] == "difference"
    assert link["--rival"] == "LS 0.1"
    assert link["--zoom"] == "1"
    assert link["--level"] == "train.nc1=0.02"

    async def again(ui: Driver) -> None:
        await ui.press()
        seen.append(lines(ui))

    start = Start(
        tab=link["--tab"],
        chosen=chosen,
        epoch=int(link["--epoch"]),
        mode=link["--mode"],
        rival=link["--rival"],
        zoom=int(link["--zoom"]),
        levels=read_levels([link["--level"]]),
    )
    drive(tmp_path, again, start=start)
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tab", "gram", "--mode", "ratio"], "this tab has no mode 'ratio'; try one of: side by"),
        (["--tab", "notes", "--mode", "ratio"], "this tab has no mode 'ratio'; open another"),
        (["--zoom", "9"], "--zoom must be 0 to 6, got 9"),
        (["--level", "train.nc1"], "--level must be NUMBER=VALUE, got 'train.nc1'"),
        (["--level", "train.nc9=1"], "no number is called 'train.nc9'; train.nc1"),
        (["--level", "nc1=1"], "no number is called 'nc1'"),
    ],
)
def test_a_link_to_what_there_is_not_is_a_usage_error(pair, tmp_path, words, message):
    out = ["--screenshot", str(tmp_path / "a.svg")]
    found = CliRunner().invoke(command_line, ["view", str(pair), *words, *out])
    assert isinstance(found.exception, UsageError)
    assert message in str(found.exception)


def test_the_theory_over_delta_has_its_command(pair):
    """On the Hessian tab W gives one for each group; it prints the curve that is drawn."""

    async def session(ui: Driver) -> None:
        await ui.press("3")
        for name, words in sweeps(ui.state):
            found = CliRunner().invoke(command_line, [*words[1:], "--format", "json"])
            assert found.exit_code == 0, found.output
            values = [row["kappa_regularised"] for row in json.loads(found.output)]
            curve = next(one for one in _over_deltas(ui.state) if one.label.startswith(name))
            np.testing.assert_allclose(values, curve.y, rtol=1e-6)
        await ui.press("W")
        await ui.sees("Its theory over delta: CE")

    drive(pair, session)


def test_a_name_that_no_run_has_is_told(pair):
    found = CliRunner().invoke(command_line, ["view", str(pair), "--compare", "ce*,nobody"])
    assert found.exit_code != 0
    assert "no run named 'nobody'; try one of: ce-s0" in str(found.exception)


# --- what measures ------------------------------------------------------------------------------


def test_a_worker_that_dies_costs_one_file_and_no_screen(tmp_path):
    path = save(tmp_path / "ce", 1)
    measurer = Measurer(apart=True)
    try:
        job = Job("observation", tmp_path / "ce", Saved.at(path))
        pool = measurer._started()
        with pytest.raises(Exception, match=r".*"):
            pool.submit(os._exit, 3).result()
        found = measurer.do(job)
        assert not isinstance(found, str)
        assert found.epoch == 1
    finally:
        measurer.close()
    assert isinstance(measurer.do(job), str)


def test_what_was_measured_once_is_recalled(tmp_path):
    path = save(tmp_path / "ce", 1)
    old = time.time() - 60
    os.utime(path, (old, old))
    job = Job("observation", tmp_path / "ce", Saved.at(path))
    measurer = Measurer(cached=True)
    assert measurer.recall(job) is None
    first = measurer.do(job)
    assert measurer.recall(job) == first
    assert Measurer().recall(job) is None


def test_five_hundred_kept_observations_come_in_few_messages(tmp_path):
    make_run(tmp_path / "ce", epochs=(1, 2, 3, 4, 5))
    for path in (tmp_path / "ce" / "checkpoints").iterdir():
        os.utime(path, (1e9, 1e9))
        found_out("observation", path, cached=True)
    counts = []

    async def session(ui: Driver) -> None:
        assert len(ui.state.picked[0].observations) == 5

    class Counting(Measurer):
        def do(self, job):
            counts.append(job)
            return super().do(job)

    drive(tmp_path, session, measurer=Counting(cached=True))
    assert not counts


@pytest.mark.parametrize(
    ("status", "silent", "gap", "expected"),
    [
        ("running", 10, 1, "live"),
        ("running", 700, 1, "stale"),
        ("running", 700, 600, "live"),  # an epoch takes ten minutes here
        ("running", 3000, 600, "stale"),
        ("finished", 10**6, 1, "finished"),
        ("interrupted", 0, 1, "interrupted"),
        ("failed", 0, 1, "failed"),
        ("nonsense", 0, 1, None),
    ],
)
def test_a_run_that_is_silent_for_long_is_stale(tmp_path, status, silent, gap, expected):
    run = make_run(tmp_path / "ce", epochs=(1, 2), status=status)
    now = time.time()
    paths = [checkpoint_path(run, 1), checkpoint_path(run, 2), run / "run.json"]
    for path, age in zip(paths, (silent + gap, silent, silent), strict=True):
        os.utime(path, (now - age, now - age))
    found = read_run(run)
    files = [Saved.at(path) for path in found.checkpoints]
    assert standing(found, files, now=now) == expected


def test_the_header_tells_how_the_runs_stand(tmp_path):
    make_run(tmp_path / "ce-s0", epochs=(1,), status="running")
    make_run(tmp_path / "ls0.05-s0", epochs=(1,), delta=0.05, status="interrupted")

    async def session(ui: Driver) -> None:
        await ui.sees("● 1 live", "□ 1 interrupted", "following")

    drive(tmp_path, session)


# --- large and odd ------------------------------------------------------------------------------


class Standing(Measurer):
    """Knows all numbers of one checkpoint, and gives them to every file."""

    def __init__(self, observation, angles=None):
        super().__init__()
        self._observation, self._angles = observation, angles

    def do(self, job):
        if job.kind == "angles":
            return self._angles
        return dataclasses.replace(self._observation, epoch=job.saved.epoch)


def test_three_hundred_checkpoints_fit_at_any_size(pair, tmp_path):
    observation = observe(checkpoint_path(pair / "ce-s0", 8), curves=True)
    run = make_run(tmp_path / "ce", epochs=())
    (run / "checkpoints").mkdir()
    for epoch in range(1, 301):
        checkpoint_path(run, epoch).touch()

    async def session(ui: Driver) -> None:
        assert len(ui.state.epochs) == 300
        for size in [(140, 44), (60, 20), (30, 10)]:
            await ui.resize(*size)
            for tab in "1234":
                await ui.press(tab, "left", "+", "left")
                assert ui.text.strip()
        assert ui.state.epoch == 300 - 3 * 4 * 2

    drive(tmp_path, session, measurer=Standing(observation))


def test_a_thousand_classes_are_averaged_in_blocks(pair, tmp_path):
    observation = observe(checkpoint_path(pair / "ce-s0", 8), curves=True)
    report = dataclasses.replace(observation.train, num_classes=1000)
    matrix = np.full((1000, 1000), -1 / 999, dtype=np.float32)
    np.fill_diagonal(matrix, 1)
    matrix[3, 700] = matrix[700, 3] = 0.5
    angles = Angles(target=-1 / 999, classes=tuple(range(1000)), means=matrix, classifier=matrix)
    make_run(tmp_path / "ce", epochs=(1, 2))

    async def session(ui: Driver) -> None:
        await ui.press("5")
        await ui.until(lambda: ui.app.idle)
        await ui.sees("a cell: the mean of", "worst pair 3-700  cos 0.50")

    large = dataclasses.replace(observation, train=report)
    drive(tmp_path, session, measurer=Standing(large, angles))


@pytest.mark.parametrize("size", [(140, 44), (80, 24)])
def test_one_class_is_no_crash_and_says_what_is_undefined(tmp_path, size):
    run = make_run(tmp_path / "ce", epochs=())
    rng = np.random.default_rng(0)
    path = checkpoint_path(run, 1)
    path.parent.mkdir()
    write_checkpoint(
        path,
        splits={"train": (rng.normal(size=(9, 4)), np.zeros(9, dtype=np.int64))},
        weight=rng.normal(size=(1, 4)),
        metadata=Metadata(loss="cross-entropy", label_smoothing=0.0, epoch=1),
    )

    async def session(ui: Driver) -> None:
        for tab in "1234567":
            await ui.press(tab)
            await ui.until(lambda: ui.app.idle)
            assert ui.text.strip()
            if tab in "234":  # the analysis' own reason
                assert "class" in " ".join(ui.text.split()), ui.text

    drive(tmp_path, session, size=size)


def test_ascii_has_signs_for_everything():
    from nccli.tui.rows import shown_text

    look = Look(ascii=True)
    for text in ("≠", "✗", "▲ 2 runs", "Δ", "×", "κ of W", "− CE", "÷ CE"):
        assert shown_text(text, look).isascii()
