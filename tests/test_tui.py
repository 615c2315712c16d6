"""The terminal UI, driven by its keys on small runs, without a terminal."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest
from tui_runs import EPOCHS, Driver, drive, make_pair, make_run, save

from nccli.errors import UsageError
from nccli.observe import observe
from nccli.render import shown
from nccli.runs import checkpoint_path
from nccli.tui import Start, run, screenshot
from nccli.tui.keys import KEYS
from nccli.tui.view import TABS

SIZES = [(140, 44), (100, 30), (80, 24), (50, 15), (25, 7)]


# --- what is shown ------------------------------------------------------------------------------


def test_it_starts_on_both_losses_and_shows_their_nc1(pair):
    async def session(ui: Driver) -> None:
        values = [
            observe(checkpoint_path(pair / name, EPOCHS[-1])).value("train.nc1")
            for name in ("ce-s0", "ls0.05-s0")
        ]
        for value in values:
            assert shown(value) in ui.text
        assert "CE" in ui.text
        assert "LS 0.05" in ui.text

    drive(pair, session)


def test_the_overview_judges_the_papers_claims_where_there_are_seeds(seeds):
    async def session(ui: Driver) -> None:
        assert "LS collapses more strongly" in ui.text
        assert re.search(r"\d supported", ui.text)
        assert "3 pairs" in ui.text

    drive(seeds, session)


def test_one_pair_of_runs_decides_nothing(pair):
    async def session(ui: Driver) -> None:
        assert "one pair" in ui.text
        assert not re.search(r"\d supported", ui.text)

    drive(pair, session)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("2", ["NC1 within-class", "NC2 means", "NC3 self-duality", "NC4 nearest centre"]),
        ("3", ["κ of W on the class means", "UFM CE", "UFM LS 0.05", "ratio"]),
        ("4", ["ECE", "MCE", "n=36", "after T", "confidence", "wrong"]),
    ],
)
def test_each_tab_shows_its_pictures_and_numbers(pair, key, words):
    async def session(ui: Driver) -> None:
        await ui.press(key)
        for word in words:
            assert word in ui.text

    drive(pair, session)


def test_the_theory_stands_beside_the_measured_condition_number(pair):
    async def session(ui: Driver) -> None:
        await ui.press("3")
        last = observe(checkpoint_path(pair / "ce-s0", EPOCHS[-1]))
        assert shown(last.value("hessian.kappa_means_w")) in ui.text
        assert shown(last.value("hessian.theory_kappa_means_w")) in ui.text

    drive(pair, session)


def test_the_tab_asked_for_is_open(pair):
    async def session(ui: Driver) -> None:
        assert ui.state.view.tab == "hessian"
        assert "UFM" in ui.text

    drive(pair, session, tab="hessian")


def test_an_unknown_tab_names_the_tabs(pair):
    with pytest.raises(UsageError, match="unknown tab 'grams'; try one of: overview, collapse"):
        run([pair], Start(tab="grams"))


# --- keys ---------------------------------------------------------------------------------------


def every_key() -> list[tuple[str, str]]:
    """Each key of the table with a tab, by number, on which it does something."""
    lines = [line for line in KEYS if line.action != "app.quit" and "tab" not in line.action]
    found = [(key, line.tabs) for line in lines for key in line.keys]
    return [(key, str(1 + TABS.index(tabs[n % len(tabs)]))) for n, (key, tabs) in enumerate(found)]


async def strike(ui: Driver, key: str) -> None:
    """Press a key, and leave whatever it has opened."""
    for stroke in (key, "escape"):
        await ui.tap(stroke)
        assert ui.app.return_code is None, key


@pytest.mark.parametrize("size", SIZES)
def test_no_key_of_the_table_crashes_at_any_size(pair, size):
    async def session(ui: Driver) -> None:
        for key, tab in every_key():
            await ui.tap(tab)
            await strike(ui, key)
        for tab in "1234567":
            await ui.press(tab, "escape")
            assert ui.text.strip()

    drive(pair, session, size=size)


def test_no_key_crashes_on_any_tab(pair):
    async def session(ui: Driver) -> None:
        for tab in "1234567":
            await ui.press(tab)
            for key in dict(every_key()):
                await strike(ui, key)

    drive(pair, session, size=(60, 16))


def test_the_epoch_cursor_moves_all_charts_and_tables_together(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2")
        assert ui.state.epoch == 8
        await ui.press("left", "h")
        assert ui.state.epoch == 2
        assert "at epoch 2" in ui.text
        value = observe(checkpoint_path(pair / "ce-s0", 2)).value("train.nc1")
        assert "epoch 2/8" in ui.text
        assert shown(value) in ui.text
        for tab in "134":
            await ui.press(tab)
            assert "at epoch 2" in ui.text
        await ui.press("right", "l")
        assert ui.state.epoch == 8
        await ui.press("home")
        assert ui.state.epoch == 1
        await ui.press("left")
        assert ui.state.epoch == 1

    drive(pair, session)


def test_the_cursor_line_stands_in_every_chart(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "left", "left")
        shown = [picture for picture in ui.charts if "nothing above 0" not in picture]
        assert len([picture for picture in shown if "┊" in picture]) >= 3
        assert all("┊" in picture for picture in shown if picture)

    drive(pair, session)


def test_picking_a_run_changes_the_overlay(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "[", "down", "space")
        await ui.press()
        assert [group.name for group in ui.state.groups] == ["CE"]
        assert "▲" not in ui.charts[0]
        await ui.press("space")
        await ui.press()
        assert [group.name for group in ui.state.groups] == ["CE", "LS 0.05"]
        assert "▲" in ui.charts[0]

    drive(pair, session)


def test_nothing_picked_says_how_to_pick(pair):
    async def session(ui: Driver) -> None:
        await ui.press("[", "space", "down", "space")
        await ui.until(lambda: not ui.state.picks)
        await ui.sees("No run is picked")

    drive(pair, session)


def test_a_third_group_can_be_compared_too(tmp_path):
    make_pair(tmp_path)
    make_run(tmp_path / "ls0.2-s0", delta=0.2)

    async def session(ui: Driver) -> None:
        await ui.press("[", "down", "down", "space", "escape")
        await ui.until(lambda: ui.app.idle and len(ui.state.groups) == 3)
        assert ui.state.compared[1].name == "LS 0.05"
        await ui.press("n")
        assert ui.state.compared[1].name == "LS 0.2"

    drive(tmp_path, session)


def test_the_filter_narrows_the_list_and_escape_widens_it_again(pair):
    async def session(ui: Driver) -> None:
        await ui.press("slash")
        await ui.press(*"ls0", "enter")
        assert "ls0.05-s0" in ui.text
        assert "ce-s0" not in ui.text
        await ui.press("escape")
        assert "ce-s0" in ui.text

    drive(pair, session)


def test_q_typed_into_the_filter_does_not_quit(pair):
    async def session(ui: Driver) -> None:
        await ui.press("slash", "q")
        await ui.until(lambda: ui.state.filter == "q")
        assert ui.app.return_code is None

    drive(pair, session)


def test_enter_maximises_a_chart_and_escape_brings_the_others_back(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2")
        whole = ui.text
        await ui.press("enter")
        await ui.press()
        assert "NC2 means" not in ui.text
        await ui.press("down")
        await ui.press()
        assert "NC2 means" in ui.text
        await ui.press("up", "escape")
        await ui.press()
        assert ui.text == whole

    drive(pair, session)


def test_escape_never_quits(pair):
    async def session(ui: Driver) -> None:
        await ui.press("question_mark", *["escape"] * 8)
        assert ui.app.return_code is None
        assert ui.app.is_running

    drive(pair, session)


@pytest.mark.parametrize("before", [[], ["question_mark"], ["2", "enter"], ["["]])
def test_q_quits(pair, before):
    async def session(ui: Driver) -> None:
        await ui.press(*before, "q")

    assert drive(pair, session).return_code == 0


def test_y_switches_the_axes_between_log_and_linear(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "y")
        assert "linear" in ui.text
        await ui.press("X")
        assert "log x" in ui.text

    drive(pair, session)


def test_t_shows_the_reliability_after_temperature_scaling(tmp_path):
    make_pair(tmp_path, epochs=(1,))

    async def session(ui: Driver) -> None:
        await ui.press("4")
        before = ui.charts[0]
        await ui.press("t")
        assert ui.charts[0] != before

    drive(tmp_path, session)


def test_a_maximised_chart_gives_way_to_other_charts_only(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "enter", *["down"] * 20)
        await ui.sees("accuracy, test  12/12")
        assert "NC1 test" not in ui.text

    drive(pair, session)


def test_the_mouse_does_what_the_keys_do(pair):
    async def session(ui: Driver) -> None:
        await ui.click("2 Collapse")
        await ui.sees("NC3 self-duality")
        await ui.click("NC3 self-duality")
        assert ui.app.main.number() == "train.nc3"
        await ui.click("CDNV train")
        assert ui.app.main.number() == "train.cdnv"
        await ui.click("ls0.05-s0")
        await ui.until(lambda: len(ui.state.picks) == 1)

    drive(pair, session)


# --- windows ------------------------------------------------------------------------------------


def test_i_explains_the_number_the_cursor_is_on(pair):
    async def session(ui: Driver) -> None:
        await ui.press("2", "i")
        await ui.press()
        assert "tr(Sigma_W Sigma_B^+) / K" in ui.text
        assert "Zhu et al. 2021" in ui.text
        await ui.press("escape", "down", "down", "i")
        await ui.press()
        assert "self-duality" in ui.text

    drive(pair, session)


def test_enter_on_a_number_explains_it(pair):
    async def session(ui: Driver) -> None:
        await ui.press("enter")
        await ui.sees("tr(Sigma_W Sigma_B^+) / K")

    drive(pair, session)


def test_i_says_why_a_number_is_undefined(tmp_path):
    make_pair(tmp_path, classifier=False)

    async def session(ui: Driver) -> None:
        await ui.press("2", "down", "down", "i")
        await ui.press()
        assert "no classifier in the file" in ui.text
        await ui.press("escape", "3")
        assert "has no classifier" in ui.text, ui.text

    drive(tmp_path, session)


def test_i_on_a_claim_says_how_it_was_judged(seeds):
    async def session(ui: Driver) -> None:
        await ui.press(*["up"] * 40, "i")
        await ui.press()
        assert "95 % t-interval" in ui.text

    drive(seeds, session)


def test_the_window_of_keys_lists_the_whole_table(pair):
    async def session(ui: Driver) -> None:
        await ui.press("question_mark")
        await ui.press()
        words = " ".join(ui.text.split())
        for line in KEYS:
            if line.scope != "window":
                assert line.means in words

    drive(pair, session, size=(140, 60))


@pytest.mark.parametrize(
    ("tab", "command"),
    [("1", "analyze"), ("2", "analyze"), ("3", "hessian"), ("4", "calibrate")],
)
def test_the_command_prints_what_is_on_screen(pair, tab, command):
    async def session(ui: Driver) -> None:
        await ui.press(tab, "left", "W")
        await ui.press()
        assert f"nccli {command}" in ui.text
        assert "ce-s0@4" in ui.text
        assert "ls0.05-s0@4" in ui.text
        await ui.press("c")
        await ui.press()
        assert ui.app.clipboard.startswith(f"nccli {command} ")

    drive(pair, session)


# --- following ----------------------------------------------------------------------------------


def test_following_sees_a_checkpoint_that_is_published_meanwhile(tmp_path):
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.press("2", "f")
        save(tmp_path / "ce-s0", 16)
        await ui.until(lambda: ui.app.idle and ui.state.epoch == 16)
        assert "epoch 16/16" in ui.text
        assert "LS 0.05 @8" in ui.text

    drive(tmp_path, session, follow_seconds=0.05)


def test_a_cursor_that_was_moved_away_stays_while_following(tmp_path):
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.press("f", "left")
        save(tmp_path / "ce-s0", 16)
        await ui.until(lambda: ui.app.idle and ui.state.epochs[-1] == 16)
        assert ui.state.epoch == 4

    drive(tmp_path, session, follow_seconds=0.05)


def test_a_run_that_still_trains_is_followed_from_the_start(tmp_path):
    make_run(tmp_path / "ce", epochs=(), status="running")

    async def session(ui: Driver) -> None:
        assert "No checkpoint yet" in ui.text
        assert "live" in ui.text
        save(tmp_path / "ce", 1)
        await ui.until(lambda: ui.app.idle and ui.state.epoch == 1)
        assert "NC1 train" in ui.text

    drive(tmp_path, session, follow_seconds=0.05)


def test_only_what_is_new_is_measured_while_following(tmp_path, monkeypatch):
    make_pair(tmp_path)
    seen = []

    def counted(path, **options):
        seen.append(path)
        return observe(path, **options)

    monkeypatch.setattr("nccli.observe.observe", counted)

    async def session(ui: Driver) -> None:
        count = len(seen)
        new = save(tmp_path / "ce-s0", 16)
        await ui.press("f")
        await ui.until(lambda: ui.app.idle and ui.state.epoch == 16)
        assert seen[count:] == [new]

    drive(tmp_path, session, follow_seconds=0.05)


def test_a_run_that_is_removed_leaves_the_list(tmp_path):
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        shutil.rmtree(tmp_path / "ce-s0")
        await ui.press("f")
        await ui.until(lambda: len(ui.state.entries) == 1)
        assert "ce-s0" not in ui.text

    drive(tmp_path, session, follow_seconds=0.05)


# --- a frame without a terminal -----------------------------------------------------------------


def test_a_screenshot_is_an_svg_that_refers_to_nothing_outside(pair, tmp_path):
    out = tmp_path / "frame.svg"
    screenshot([pair], size=(100, 30), press=["2", "left"], out=out)
    svg = out.read_text()
    assert "NC1" in svg
    assert "@font-face" not in svg
    assert not re.search(r"url\(\s*[\"']?http", svg)


def test_a_session_ends_at_once_while_a_checkpoint_is_measured(pair, monkeypatch):
    monkeypatch.setattr("nccli.observe.observe", lambda *_, **__: asyncio.run(asyncio.sleep(3)))

    async def session(ui: Driver) -> None:
        await ui.until(lambda: ui.state.measuring is not None)
        await ui.press("q")

    begin = asyncio.new_event_loop()
    start = begin.time()
    drive(pair, session, settled=False)
    assert begin.time() - start < 2
    begin.close()
