"""The terminal UI over runs that are odd: of one name, one loss, one seed, or hostile."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from tui_runs import Driver, drive, make_pair, make_run, save

from nccli.charts import Series, line_chart
from nccli.cli.view import _chosen
from nccli.runs import checkpoint_path, read_run, write_run_file
from nccli.sample import sample_data_path
from nccli.text import group_name, is_seven_bit
from nccli.tui import commands
from nccli.tui.app import ViewApp
from nccli.tui.curve_pictures import curves
from nccli.tui.curves import run_by_run, trend
from nccli.tui.entry import Saved
from nccli.tui.families import Family, unique_names
from nccli.tui.findings import Angles, Job
from nccli.tui.loading import scan
from nccli.tui.memory import Memory
from nccli.tui.paths import near
from nccli.tui.shelf import MOST_BYTES, MOST_THINGS, Shelf
from nccli.tui.state import State
from nccli.tui.view import View

NC1 = "train.nc1"


def test_groups_of_one_name_in_two_directories_keep_their_own_numbers(tmp_path):
    make_run(tmp_path / "a" / "runs" / "ce-s0", epochs=(1, 2))
    make_run(tmp_path / "b" / "runs" / "ce-s0", epochs=(1, 2), seed=5)

    async def session(ui: Driver) -> None:
        await ui.press("[", "down", "space", "escape")
        await ui.until(lambda: ui.app.idle and len(ui.state.groups) == 2)
        one, other = ui.state.groups
        assert {one.name, other.name} == {"a/runs/CE", "b/runs/CE"}
        assert run_by_run(ui.state, one, NC1)[0].y != run_by_run(ui.state, other, NC1)[0].y
        assert trend(ui.state, one, NC1) != trend(ui.state, other, NC1)
        await ui.press("2", "c")
        assert len({tuple(series.y) for series in curves(ui.state, NC1)}) == 2

    drive([tmp_path / "a" / "runs", tmp_path / "b" / "runs"], session)


def test_names_are_as_long_as_it_takes(tmp_path):
    def family(*parts, **settings):
        return Family(tmp_path.joinpath(*parts), tuple(settings.items()))

    groups = [(family("x", "r"), "CE"), (family("y", "r"), "CE"), (family(), "LS 0.1")]
    assert unique_names(groups) == ["x/r/CE", "y/r/CE", "LS 0.1"]
    assert unique_names([]) == []
    mlp, vit = {"model": "mlp", "dropout": "0"}, {"model": "vit", "dropout": "0"}
    groups = [(family(**mlp), "CE"), (family(**vit), "CE"), (family(**vit), "LS 0.1")]
    assert unique_names(groups) == ["CE mlp", "CE vit", "LS 0.1"]
    groups += [(family(**vit | {"dropout": "0.5"}), "CE"), (family("x", **mlp), "CE")]
    assert unique_names(groups) == [
        *(f"{tmp_path.name}/CE mlp", "CE vit dropout 0", "LS 0.1", "CE vit dropout 0.5"),
        "x/CE mlp",
    ]


def test_runs_of_other_networks_are_no_seeds_of_one_group(tmp_path):
    """A sweep puts all of its runs into one directory."""
    for seed in (0, 1):
        for model in ("mlp", "vit"):
            for delta in (0.0, 0.1):
                path = make_run(tmp_path / f"{model}-{delta}-{seed}", delta=delta, seed=seed)
                record = read_run(path).record
                record["settings"] = {
                    **record.get("settings", {}),
                    "model": model,
                    "seed": seed,
                    "output": str(path),
                    "epochs": seed,
                }
                write_run_file(path, record)

    async def session(ui: Driver) -> None:
        assert [group.name for group in ui.state.groups] == ["CE", "LS 0.1"]
        for group in ui.state.groups:
            assert {entry.run.settings["model"] for entry in group.entries} == {"mlp"}
            assert sorted(entry.seed for entry in group.entries) == [0, 1]
        for entry in list(ui.state.entries.values()):
            if entry.key not in ui.state.picks:
                ui.state.toggle(entry.key)
        assert [group.name for group in ui.state.groups] == [
            *("CE mlp", "CE vit", "LS 0.1 mlp", "LS 0.1 vit"),
        ]
        assert all(len(group.entries) == 2 for group in ui.state.groups)

    drive(tmp_path, session)


@pytest.mark.parametrize("collapsed", ["a", "b"])
def test_of_two_groups_of_one_loss_the_better_one_wins(tmp_path, collapsed):
    for folder in "ab":
        for seed in range(3):
            epochs = (50,) if folder == collapsed else (1,)
            make_run(tmp_path / folder / f"ce-s{seed}", epochs=epochs, seed=seed)

    async def session(ui: Driver) -> None:
        await ui.press("[", *["down", "space"] * 5, "escape")
        for entry in ui.state.entries.values():
            if entry.key not in ui.state.picks:
                ui.state.toggle(entry.key)
        ui.app._go_on()
        await ui.until(lambda: ui.app.idle and len(ui.state.groups) == 2)
        await ui.press("1")
        rows = [line for line in ui.text.splitlines() if line.startswith("NC1 train ")]
        assert f"{collapsed}/CE" in rows[0]

    drive([tmp_path / "a", tmp_path / "b"], session)


def test_two_runs_of_one_seed_are_no_two_pairs(tmp_path):
    make_pair(tmp_path, epochs=(1, 2))
    make_run(tmp_path / "ce-again", epochs=(1, 2))

    async def session(ui: Driver) -> None:
        assert len(ui.state.picked) == 3
        assert "2 pairs" not in ui.text
        await ui.sees("has seed 0 too")

    drive(tmp_path, session)


def test_what_is_wanted_is_never_forgotten():
    shelf = Shelf()
    matrix = np.zeros((MOST_BYTES // 2**20, 2**18), dtype=np.float32)
    angles = Angles(target=None, classes=(), means=matrix, classifier=None)
    wanted = {"a", "b", "c"}
    for name in "xabc":
        shelf.put(name, angles, wanted=wanted)
    assert shelf.get("x") is None
    assert all(shelf.get(name) is not None for name in wanted)
    many = Shelf()
    every = set(range(MOST_THINGS + 40))
    for number in every:
        many.put(number, "text", wanted=every)
    assert all(many.get(number) is not None for number in every)


def test_a_memory_of_one_thing_a_name():
    state, made = State(), []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [state.last("a", 1, make), state.last("a", 1, make)] == [1, 1]
    assert [state.last("a", 2, make), state.last("a", 1, make)] == [2, 3]


@pytest.mark.parametrize("loss", ["", " ", "  x"])
def test_a_loss_without_a_name_is_unknown(tmp_path, loss):
    make_run(tmp_path / "ce", epochs=(1,))
    other = make_run(tmp_path / "odd", epochs=(1,))
    write_run_file(other, {"settings": {"loss": loss, "seed": 1}})

    async def session(ui: Driver) -> None:
        for tab in "1234567":
            await ui.press(tab)
            assert ui.text.strip()

    drive(tmp_path, session)
    assert group_name(loss, None) == ("unknown loss" if not loss.strip() else loss)


@pytest.mark.parametrize(
    "settings",
    [
        '"label_smoothing": 1' + "0" * 400,
        '"deep": ' + '{"a":' * 700 + "1" + "}" * 700,
        '"deep": ' + "[" * 900 + "]" * 900,
        '"seed": 1' + "0" * 5000,
    ],
)
def test_settings_without_measure_do_no_harm(tmp_path, settings):
    run = make_run(tmp_path / "ce", epochs=(1,))
    words = '{"settings": {"loss": "label-smoothing", ' + settings + "}}"
    (run / "run.json").write_text(words)

    async def session(ui: Driver) -> None:
        for tab in "127":
            await ui.press(tab)
            assert ui.text.strip()

    drive(tmp_path, session)


def test_e_before_the_first_group_is_known_is_no_crash(tmp_path):
    save(tmp_path / "ce", 1)  # no run.json: its loss is known when it has been measured

    async def session(ui: Driver) -> None:
        await ui.press("4")
        ui.state.groups = []
        for chart in ui.app.main.pane.charts:
            assert chart.picture.plotted().title

    drive(tmp_path, session)


def test_a_path_that_is_no_text_cannot_be_copied_and_that_is_told(tmp_path):
    name = os.fsdecode(b"ce-\xff")
    try:
        make_run(tmp_path / name, epochs=(1,))
    except OSError:
        pytest.skip("this file system wants text")

    async def session(ui: Driver) -> None:
        await ui.press("2", "W", "c")
        assert ui.app.return_code is None
        assert ui.app.screen is ui.app.main

    drive(tmp_path, session)


def test_a_pipe_in_place_of_run_json_is_told(tmp_path):
    run = make_run(tmp_path / "ce", epochs=(1,))
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    found = []
    thread = threading.Thread(target=lambda: found.append(scan([tmp_path])), daemon=True)
    thread.start()
    thread.join(20)
    assert found, "the listing waits for the pipe"
    assert "not a regular file" in found[0].listed[0].run.problem


def test_the_c_locale_asks_for_seven_bits():
    assert is_seven_bit({"LC_ALL": "C"}, "utf-8")
    assert is_seven_bit({"LANG": "POSIX"}, "utf-8")
    assert not is_seven_bit({"LC_ALL": "C.UTF-8", "LANG": "C"}, "utf-8")
    assert not is_seven_bit({}, "utf-8")
    assert is_seven_bit({}, "latin-1")
    assert is_seven_bit({}, None)


def test_the_link_back_holds_whatever_the_names_hold(tmp_path):
    make_run(tmp_path / "a,b", epochs=(1,))
    make_run(tmp_path / "ls[0.1]", epochs=(1,), delta=0.1)

    async def session(ui: Driver) -> None:
        assert "--compare '*'" in commands.reopening(ui.state)

    drive(tmp_path, session)
    runs = [tmp_path / "a,b", tmp_path / "ls[0.1]"]
    assert _chosen("*", runs) == ["a,b", "ls[0.1]"]
    assert _chosen("ls[0.1]", runs) == ["ls[0.1]"]


def test_a_listing_without_news_changes_nothing(tmp_path):
    make_pair(tmp_path, epochs=(1,))
    state = State()
    assert state.absorb(scan([tmp_path]).listed)
    before = dict(state.entries)
    assert not state.absorb(scan([tmp_path]).listed)
    save(tmp_path / "ce-s0", 2)
    assert state.absorb(scan([tmp_path]).listed)
    same = [key for key in before if state.entries[key] is before[key]]
    assert [key.name for key in same] == ["ls0.05-s0"]


def test_a_new_loss_does_not_take_the_place_of_the_one_on_screen(tmp_path):
    make_pair(tmp_path, epochs=(1,))
    state = State()
    state.absorb(scan([tmp_path]).listed)
    shown = state.picks
    make_run(tmp_path / "a-ls", epochs=(1,), delta=0.01)
    state.absorb(scan([tmp_path]).listed)
    state.absorb(scan([tmp_path]).listed)
    assert state.picks == shown
    make_run(tmp_path / "ce-s1", epochs=(1,), seed=1)
    state.absorb(scan([tmp_path]).listed)
    assert len(state.picks) == 3


def test_only_what_was_chosen_is_remembered(tmp_path):
    make_pair(tmp_path, epochs=(1,))
    path = tmp_path / "memory.json"

    async def nothing(ui: Driver) -> None:
        await ui.press()

    drive(tmp_path, nothing, memory=Memory(path), tab="gram")
    again = ViewApp([tmp_path], memory=Memory(path))
    assert again.session.view.tab == "overview"
    assert Memory(path).light is None


def test_an_export_names_the_files_that_were_read(tmp_path, monkeypatch):
    from nccli.tui.export_menu import origin, table_plotted

    make_pair(tmp_path, epochs=(1, 2), seeds=(0, 1))
    monkeypatch.chdir(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.press("2", "left")
        plotted = ui.app.main.pane.charts[0].picture.plotted()
        found = origin(ui.state, plotted)
        assert len(found.files) == 8
        assert "@" not in found.command
        await ui.press("4")
        plotted = ui.app.main.pane.charts[0].picture.plotted()
        assert [path.parts[-3] for path in origin(ui.state, plotted).files] == [
            "ce-s0",
            "ls0.05-s0",
        ]
        await ui.press("6")
        await ui.until(lambda: ui.app.idle)
        plotted = table_plotted("files", ui.app.main.pane.lists[0])
        assert len(origin(ui.state, plotted).files) == 1
        await ui.press("7")
        plotted = table_plotted("notes", ui.app.main.pane.lists[0])
        assert {path.name for path in origin(ui.state, plotted).files} == {"run.json"}

    drive(tmp_path, session)


def test_jobs_of_files_that_vanish_end(tmp_path):
    run = make_pair(tmp_path, epochs=(1,)) / "ce-s0"
    job = Job("angles", run, Saved.at(run / "checkpoints" / "gone.h5"))
    state = State()
    state.absorb(scan([tmp_path]).listed)
    state.record([(job, "gone")])
    assert state.kept("angles", job.saved) == "gone"
    assert state.latest("angles", state.entries[run]) is None


@pytest.mark.parametrize("last", [3, 8, 200, 415, 999])
@pytest.mark.parametrize("zoom", range(1, 5))
def test_zoomed_in_at_either_end_that_end_is_in_view(last, zoom):
    view = View(zoom=zoom)
    assert view.window(1.0, float(last), float(last), log=True)[1] == last
    assert view.window(1.0, float(last), 1.0, log=True)[0] == 1
    for cursor in range(1, last + 1, max(1, last // 7)):
        left, right = view.window(1.0, float(last), float(cursor), log=True)
        assert 1 <= left <= cursor <= right <= last


def test_epochs_whose_value_a_log_axis_cannot_show_are_on_the_other_axis():
    """NC4 that has come to 0: collapse itself."""
    series = [Series(label="CE", x=[1, 2, 4, 8, 16], y=[0.3, 0.1, 0.0, 0.0, 0.0], kind=0)]
    chart = line_chart(series, title="NC4", width=90, height=12, y_log=True, x_log=True, cursor=16)
    *_, axis = chart.plain().splitlines()
    assert axis.split()[0] == "1"
    assert "16" in axis.split()
    assert "3 points ≤ 0 not shown" in chart.plain()


def test_all_seeds_of_a_loss_alone_are_picked(tmp_path):
    for seed in range(3):
        make_run(tmp_path / f"ce-s{seed}", epochs=(1,), seed=seed)

    async def session(ui: Driver) -> None:
        assert [len(group.entries) for group in ui.state.groups] == [3]
        assert not commands.printing(ui.state).startswith("nccli compare")

    drive(tmp_path, session)


def test_a_path_that_begins_like_an_option_is_written_as_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert near(tmp_path / "-ce") == "./-ce"
    assert near(tmp_path / "ce") == "ce"


def test_a_picture_that_is_exported_as_text_needs_no_colours():
    """Cells of a heatmap are colours on the screen, and nothing at all in a text of them."""

    def cells(text):
        return [line.strip() for line in text.splitlines() if line.strip("▌ ")[:1].isdigit()]

    async def session(ui: Driver) -> None:
        await ui.press("5")
        chart = ui.app.main.pane.charts[0]
        shown, exported = cells(chart.plain()), cells(chart.text())
        assert max(map(len, shown[:5])) < 5  # the number of the class alone
        assert min(map(len, exported[:5])) > 10
        assert "▌" in chart.plain()
        assert "▌" not in chart.text()
        assert ui.state.look.colour

    drive(sample_data_path("runs"), session, size=(80, 24))


@pytest.mark.parametrize("corrupt", [4, 8])
def test_the_files_tab_reaches_a_file_that_cannot_be_read(tmp_path, corrupt):
    run = make_run(tmp_path / "ce-s0", epochs=(1, 2, 4, 8))
    checkpoint_path(run, corrupt).write_bytes(b"no longer")

    async def session(ui: Driver) -> None:
        await ui.press("6")
        seen = []
        for _ in range(2):
            await ui.until(lambda: ui.app.idle)
            seen.append((ui.state.file_shown[1].epoch, "not an HDF5 file" in ui.text))
            await ui.press("n")
        assert sorted(seen) == [(4, corrupt == 4), (8, corrupt == 8)]

    drive(tmp_path, session)
