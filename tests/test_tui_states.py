"""The terminal UI where something is missing, broken, hostile or small; and its pure parts."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Size
from tui_runs import Driver, drive, make_pair, make_run, save

from nccli.charts import Look, Span
from nccli.runs import RUN_FILE, checkpoint_path
from nccli.tui.defaults import grow_by_factors
from nccli.tui.keys import KEYS, Key, bindings, check_keys
from nccli.tui.lean import RESET, lean
from nccli.tui.loading import coarse_to_fine
from nccli.tui.painted import changed_regions
from nccli.tui.palette import detect_look, prefers_light
from nccli.tui.plan import plan
from nccli.tui.rows import Column, cut, laid_out

SIZES = [(140, 44), (80, 24), (50, 15), (25, 7)]


# --- missing and broken -------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_an_empty_directory_says_what_to_do(tmp_path, size):
    async def session(ui: Driver) -> None:
        await ui.press(*"1234", "left", "i", "escape", "W", "enter", "down", "[", "space")
        assert ui.app.return_code is None
        if size[0] > 40:
            await ui.sees("No run here", "nccli train")

    drive(tmp_path, session, size=size)


def test_a_run_that_appears_later_is_found_while_following(tmp_path):
    async def session(ui: Driver) -> None:
        await ui.press("f")
        make_run(tmp_path / "ce")
        await ui.sees("NC1 train", "ce")

    drive(tmp_path, session, follow_seconds=0.05)


def test_a_corrupt_checkpoint_is_listed_in_its_place_and_the_rest_goes_on(tmp_path):
    make_pair(tmp_path)
    checkpoint_path(tmp_path / "ce-s0", 4).write_bytes(b"this is no HDF5")

    async def session(ui: Driver) -> None:
        assert "epoch 4: not an HDF5" in ui.text
        assert "1 file unreadable" in ui.text
        assert ui.state.epochs == [1, 2, 4, 8]  # the other run has 4
        await ui.press("[", "i")
        await ui.sees("epoch-00004.h5: not an HDF5 file")

    drive(tmp_path, session)


def test_a_corrupt_last_checkpoint_leaves_the_one_before_it(tmp_path):
    make_run(tmp_path / "ce")
    checkpoint_path(tmp_path / "ce", 8).write_bytes(b"")

    async def session(ui: Driver) -> None:
        assert ui.state.epoch == 4
        assert "CE" in ui.text

    drive(tmp_path, session)


def test_a_replaced_checkpoint_is_measured_again(tmp_path):
    make_run(tmp_path / "ce")
    checkpoint_path(tmp_path / "ce", 8).write_bytes(b"half of it")

    async def session(ui: Driver) -> None:
        assert "1 file unreadable" in ui.text
        save(tmp_path / "ce", 8)
        await ui.press("f")
        await ui.until(lambda: ui.state.epoch == 8 and "unreadable" not in ui.text)

    drive(tmp_path, session, follow_seconds=0.05)


def test_where_no_checkpoint_can_be_read_the_reasons_are_shown(tmp_path):
    make_run(tmp_path / "ce", epochs=(1,))
    checkpoint_path(tmp_path / "ce", 1).write_bytes(b"x")

    async def session(ui: Driver) -> None:
        await ui.sees("No checkpoint could be measured", "not an HDF5 file")

    drive(tmp_path, session)


def test_a_damaged_run_json_is_told_and_its_checkpoints_are_used(tmp_path):
    make_pair(tmp_path)
    (tmp_path / "ce-s0" / RUN_FILE).write_text("{")

    async def session(ui: Driver) -> None:
        await ui.sees("run.json: cannot be read", "LS collapses more strongly")

    drive(tmp_path, session)


def test_runs_without_run_json_are_told_apart_by_their_checkpoints(tmp_path):
    make_pair(tmp_path)
    for run in tmp_path.iterdir():
        (run / RUN_FILE).unlink()

    async def session(ui: Driver) -> None:
        assert [group.name for group in ui.state.groups] == ["CE", "LS 0.05"]

    drive(tmp_path, session)


def test_settings_of_the_wrong_type_in_run_json_do_no_harm(tmp_path):
    run = make_run(tmp_path / "ce")
    (run / RUN_FILE).write_text(
        '{"status": 3, "settings": {"loss": ["x"], "label_smoothing": "y", "seed": {}}}'
    )

    async def session(ui: Driver) -> None:
        await ui.press("[", "i")
        assert ui.app.return_code is None

    drive(tmp_path, session)


def test_a_bug_while_measuring_is_told_in_its_place(tmp_path, monkeypatch):
    make_run(tmp_path / "ce", epochs=(1,))

    def broken(*_, **__):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("nccli.observe.observe", broken)

    async def session(ui: Driver) -> None:
        await ui.sees("a bug in nccli: ZeroDivisionError: boom")

    drive(tmp_path, session)


@pytest.mark.parametrize("options", [{"classifier": False}, {"splits": ("train",)}])
@pytest.mark.parametrize("size", SIZES)
def test_checkpoints_without_classifier_or_test_split_are_shown_as_far_as_they_go(
    tmp_path, size, options
):
    make_pair(tmp_path, epochs=(1, 2), **options)

    async def session(ui: Driver) -> None:
        for tab in "1234":
            await ui.press(tab, "down", "i", "escape", "t", "y")
        assert ui.app.return_code is None

    drive(tmp_path, session, size=size)


def test_a_run_without_test_split_says_which_split_is_scored(tmp_path):
    make_pair(tmp_path, splits=("train",))

    async def session(ui: Driver) -> None:
        await ui.press("4")
        await ui.sees("n=36  train", "at epoch 8, train")

    drive(tmp_path, session)


def test_one_checkpoint_is_enough(tmp_path):
    make_pair(tmp_path, epochs=(3,))

    async def session(ui: Driver) -> None:
        for tab in "1234":
            await ui.press(tab, "left", "right")
        assert ui.state.epoch == 3

    drive(tmp_path, session)


def test_one_loss_alone_says_what_the_claims_need(tmp_path):
    make_run(tmp_path / "ce")

    async def session(ui: Driver) -> None:
        await ui.sees("pick a CE and an LS run", "NC1 train")

    drive(tmp_path, session)


# --- hostile ------------------------------------------------------------------------------------


def test_a_run_name_is_data_not_markup(tmp_path):
    name = "[@click=app.quit]x\x1b[31m[bold]\u202e"
    make_run(tmp_path / name)
    checkpoint_path(tmp_path / name, 4).write_bytes(b"x")

    async def session(ui: Driver) -> None:
        assert "[@click=app.quit]x\\x1b" in ui.text
        assert "\x1b" not in ui.text
        assert "\u202e" not in ui.text
        for key in ("[", "i", "escape", "W", "escape", "enter", "2", "3", "4"):
            await ui.press(key)
        assert ui.app.return_code is None
        assert "\x1b" not in ui.text

    drive(tmp_path, session)


# --- small, light, colourless -------------------------------------------------------------------


def test_a_terminal_too_small_shows_the_numbers_as_text(tmp_path):
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.sees("NC1 train", "● 0.0", "▲ 0.0", "30x8")

    drive(tmp_path, session, size=(25, 7))


def test_it_can_be_resized_at_any_moment(tmp_path):
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.press("2")
        for size in [(80, 24), (20, 5), (140, 44), (10, 2), (300, 90), (1, 1), (60, 20)]:
            await ui.resize(*size)
            await ui.press("down", "left")
            assert ui.app.return_code is None
        await ui.resize(140, 44)
        await ui.press(*["up"] * 10)
        await ui.sees("NC1 within-class", "NC2 means", "NC3 self-duality", "NC4", "at epoch")

    drive(tmp_path, session, settled=False)


def test_under_a_hundred_columns_the_runs_come_over_the_screen(tmp_path):
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        assert "CE  @8" not in ui.text
        await ui.press("[")
        await ui.sees("ce-s0", "CE  @8  finished")
        await ui.press("escape")
        await ui.until(lambda: "CE  @8" not in ui.text)

    drive(tmp_path, session, size=(80, 24))


def test_an_ascii_terminal_gets_seven_bit_characters_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    make_pair(tmp_path, seeds=(0, 1))
    checkpoint_path(tmp_path / "ce-s0", 4).write_bytes(b"x")

    async def session(ui: Driver) -> None:
        for key in (*"1234", "?", "escape", "i", "escape", "W", "escape", "["):
            await ui.press(key)
            assert ui.text.isascii(), ui.text

    drive(tmp_path, session)


def test_no_color_leaves_markers_to_tell_the_losses_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    make_pair(tmp_path)

    async def session(ui: Driver) -> None:
        await ui.press("2")
        assert not ui.state.look.colour
        await ui.sees("● CE", "▲ LS 0.05")

    drive(tmp_path, session)


def test_the_light_theme_darkens_the_charts(tmp_path):
    make_pair(tmp_path, epochs=(1,))

    async def session(ui: Driver) -> None:
        assert not ui.state.look.light
        await ui.press("T")
        await ui.until(lambda: ui.state.look.light)

    drive(tmp_path, session)


def test_the_terminals_own_words_choose_the_look():
    assert detect_look({}, encoding="utf-8", colour=True, light=False) == Look()
    assert detect_look({}, encoding="ascii", colour=True, light=False).ascii
    assert detect_look({"TERM": "dumb"}, encoding="UTF-8", colour=True, light=False).ascii
    assert prefers_light({"COLORFGBG": "0;15"})
    assert not prefers_light({"COLORFGBG": "15;0"})
    assert not prefers_light({})


# --- keys ---------------------------------------------------------------------------------------


def test_the_table_of_keys_has_no_duplicates():
    check_keys(KEYS)


def test_a_key_with_two_meanings_is_refused():
    twice = Key(keys=("q",), cap="q", action="app.bell", word="ring", means="ring")
    with pytest.raises(ValueError, match=re.escape("keys with two meanings: q (screen)")):
        bindings("screen", [*KEYS, twice])


def test_no_action_needs_ctrl_or_alt():
    assert not [key for line in KEYS for key in line.keys if "ctrl" in key or "alt" in key]


# --- arrangement --------------------------------------------------------------------------------


@given(
    width=st.integers(1, 250),
    height=st.integers(1, 90),
    charts=st.integers(0, 4),
    rows=st.integers(0, 30),
    data=st.data(),
)
def test_a_plan_fills_the_room_and_always_holds_the_cursor(width, height, charts, rows, data):
    at = data.draw(st.one_of(st.none(), st.integers(0, charts - 1))) if charts else None
    found = plan(Size(width, height), charts=charts, rows=rows, at=at)
    regions = [region for _, region in found.charts] + ([found.table] if found.table else [])
    cells = [cell for region in regions for cell in _cells(region)]
    assert len(cells) == len(set(cells))
    assert all(0 <= x < width and 0 <= y < height for x, y in cells)
    if at is not None:
        assert at in [index for index, _ in found.charts]
    elif rows:
        assert found.table is not None
        assert found.table.height > 0


def _cells(region):
    return [(x, y) for x in range(*region.column_span) for y in range(*region.line_span)]


def test_wide_screens_show_four_charts_and_narrow_ones_fewer():
    assert len(plan(Size(107, 37), charts=4, rows=18, at=0).charts) == 4
    assert len(plan(Size(66, 26), charts=4, rows=18, at=0).charts) == 2
    assert len(plan(Size(80, 20), charts=4, rows=18, at=0).charts) == 1
    assert len(plan(Size(50, 11), charts=4, rows=18, at=3).charts) == 1


# --- pure parts ---------------------------------------------------------------------------------


@given(st.integers(0, 300))
def test_coarse_to_fine_visits_everything_once(count):
    assert sorted(coarse_to_fine(count)) == list(range(count))


def test_coarse_to_fine_gives_a_curve_its_shape_early():
    assert coarse_to_fine(9)[:5] == [0, 8, 4, 2, 6]


def test_saved_epochs_that_grow_by_factors_get_a_logarithmic_axis():
    assert grow_by_factors([1, 2, 3, 4, 7, 11, 18, 29, 47, 76, 124, 200])
    assert grow_by_factors([1, 10, 50, 100, 200])
    assert not grow_by_factors(list(range(1, 201)))
    assert not grow_by_factors([0, 1, 2, 4, 1000])
    assert not grow_by_factors([])


def test_a_table_gives_up_its_least_needed_column_first():
    columns = [Column(title="name", align="left"), Column(title="a", rank=1),
               Column(title="b", rank=2)]  # fmt: skip
    cells = [[("a long name", ""), ("1.0", ""), ("[0, 1]", "")]]

    def text(width):
        return [
            "".join(span.text for span in row) for row in laid_out(columns, cells, width, Look())
        ]

    assert text(40)[1] == "a long name   1.0   [0, 1]"
    assert text(20)[1] == "a long name  1.0"
    assert "1.0" not in text(12)[1]


def test_text_is_cut_to_its_cells_not_its_characters():
    assert cut("漢字漢字", 5, Look()) == "漢字…"
    assert cut("abcdef", 4, Look(ascii=True)) == "a..."
    assert cut("a\x1bb", 9, Look()) == "a\\x1bb"


def test_only_cells_that_changed_are_sent():
    before = [(Span("abc", ""), Span("def", "bold")), (Span("same", ""),)]
    after = [(Span("abX", ""), Span("dYf", "bold")), (Span("same", ""),)]
    (region,) = changed_regions(before, after)
    assert (region.x, region.y, region.width, region.height) == (2, 0, 3, 1)
    assert changed_regions(before, before) == []


# --- fewer bytes --------------------------------------------------------------------------------

_COLOURS = st.sampled_from(["1;2;3", "9;9;9", "200;0;7"])
_SGR = st.one_of(
    st.just(RESET),
    st.builds(lambda a, b: f"\x1b[38;2;{a};48;2;{b}m", _COLOURS, _COLOURS),
    st.builds(lambda a: f"\x1b[38;2;{a}m", _COLOURS),
    st.sampled_from(["\x1b[1m", "\x1b[1;38;2;1;2;3;48;2;9;9;9m", "\x1b[4m", "\x1b[6;33H", "\r\n"]),
)


@given(st.lists(st.one_of(_SGR, st.text("ab ", min_size=1, max_size=3)), max_size=25))
def test_lean_output_paints_the_same_cells(pieces):
    text = "".join(pieces)
    assert _painted(lean(text)) == _painted(text)
    assert len(lean(text)) <= len(text)


def test_lean_output_sends_a_background_once():
    pieces = [f"\x1b[38;2;{i};0;0;48;2;9;9;9mx{RESET}" for i in range(9)]
    text = RESET + "".join(pieces)
    assert lean(text).count("48;2") == 1


def _painted(text):
    """Every character with the attributes in force, as a terminal would have them."""
    found, state = [], {}
    for piece in re.split(r"(\x1b\[[0-9;]*m)", text):
        if re.fullmatch(r"\x1b\[[0-9;]*m", piece):
            state = _attributes(state, piece[2:-1])
        else:
            found += [(character, _seen(character, state)) for character in piece]
    return found, tuple(sorted(state.items()))


def _seen(character, state):
    """The attributes that show; a blank has no ink, and shows neither colour nor weight."""
    hidden = () if character != " " or set(state) - {"1", "38", "48"} else ("1", "38")
    return tuple(sorted((code, value) for code, value in state.items() if code not in hidden))


def _attributes(state, codes):
    numbers = codes.split(";")
    state = dict(state)
    while numbers:
        code = numbers.pop(0)
        if code in ("0", ""):
            state = {}
        elif code == "22":
            state.pop("1", None)
        elif code in ("38", "48"):
            state[code] = tuple(numbers[:4])
            del numbers[:4]
        else:
            state[code] = True
    return state


@pytest.mark.parametrize("size", [(140, 44), (80, 24)])
def test_the_terminal_shows_what_the_widgets_have_drawn(seeds, size):
    """Any keys on any tab: what changed while its tab was hidden must not come back as it was."""
    singles = "hlgGcybtn+-0T"
    longer = [
        ["down"],
        ["enter", "h", "enter"],
        ["i", "escape"],
        ["L", "escape"],
        ["[", "down", "space", "escape"],
    ]
    rng = random.Random(size[0])

    async def session(ui: Driver) -> None:
        for turn in range(40):
            keys = rng.choice([*([key] for key in singles), *longer])
            await ui.press(rng.choice("1234567"))
            assert not ui.stale(), turn
            await ui.press(*keys)
            assert not ui.stale(), (turn, keys)
            if turn % 20 == 19:
                await ui.resize(size[0] - turn % 3, size[1])
                await ui.press()
                assert not ui.stale(), turn

    drive(seeds, session, size=size)
