"""Charts: what the pictures show, that they always fit, and that hostile text stays inert.

Golden pictures live in tests/golden/charts/*.txt and are compared byte for byte. After an
intended change, rewrite them and read the diff:

    NCCLI_UPDATE_GOLDEN=1 pytest tests/test_charts.py
"""

import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from nccli.charts import (
    Bin,
    Chart,
    Look,
    Reference,
    Series,
    line_chart,
    mark,
    reliability_chart,
    series_style,
    sparkline,
)
from nccli.charts.lettering import SPELLINGS, clean, short
from nccli.charts.palette import DARK, LIGHT
from nccli.charts.scale import step_axis, value_axis
from nccli.charts.tags import pushed_apart

GOLDEN = Path(__file__).parent / "golden" / "charts"
LOOKS = [
    Look(colour=colour, ascii=ascii_only, light=light)
    for colour in (True, False)
    for ascii_only in (True, False)
    for light in (True, False)
]
BARS = set("▁▂▃▄▅▆▇█▒▓▔━")
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
ANY_VALUE = st.none() | ANY_FLOAT
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.none() | ANY_FLOAT | st.floats(0, 1)


def collapse_pair(epochs: int = 20) -> list[Series]:
    """Two decaying curves like NC1 under cross-entropy and label smoothing."""
    x = list(range(1, epochs + 1))
    pace = 20 / epochs
    ce = [0.2 + 4 * math.exp(-0.25 * (pace * epoch - 1)) for epoch in x]
    ls = [0.0035 + 5 * math.exp(-0.5 * (pace * epoch - 1)) for epoch in x]
    return [Series(label="CE", x=x, y=ce, kind=0), Series(label="LS", x=x, y=ls, kind=1)]


def bins(number: int = 15, bias: float = -0.1, empty: Sequence[int] = (0, 1)) -> list[Bin]:
    """Equal bins whose accuracy departs from confidence by up to `bias`."""
    return [_bin(index, number, bias, held=index not in empty) for index in range(number)]


def _bin(index: int, number: int, bias: float, *, held: bool) -> Bin:
    lower, upper = index / number, (index + 1) / number
    middle = (lower + upper) / 2
    accuracy = min(1.0, max(0.0, middle + bias * math.sin(3 * middle)))
    return Bin(
        lower=lower,
        upper=upper,
        count=int(3 * 1.6**index) if held else 0,
        confidence=middle if held else None,
        accuracy=accuracy if held else None,
    )


def one(y: Sequence[float | None], *, label: str = "CE", kind: int = 0) -> list[Series]:
    return [Series(label=label, x=range(len(y)), y=y, kind=kind)]


def lines_of(chart: Chart) -> list[str]:
    return ["".join(span.text for span in row) for row in chart.rows]


def widest(chart: Chart) -> int:
    return max((cell_len(line) for line in lines_of(chart)), default=0)


def styles_of(chart: Chart) -> set[str]:
    return {span.style for row in chart.rows for span in row}


def gallery(look: Look) -> list[Chart]:
    """One of everything, with symbols that 7-bit terminals lack."""
    references = [Reference(value=0.0, label="ideal"), Reference(value=0.01, label="−1/(K−1)")]
    pair = collapse_pair()
    return [
        line_chart(pair, title="κ(H) → é", width=80, height=16, cursor=12, look=look),
        line_chart(pair, title="NC1", width=80, height=16, references=references, look=look),
        line_chart(pair, title="λ", width=70, height=12, x_log=True, lines=False, look=look),
        line_chart(one([1, 0, -1, 1e-9]), title="lost", width=70, height=12, look=look),
        line_chart(one([1e-7, 2e-7]), title="flat", width=70, height=12, y_log=False, look=look),
        line_chart(pair, title="a title far too long for it", width=19, height=4, look=look),
        line_chart([], title="empty", width=50, height=8, look=look),
        reliability_chart(bins(), title="CE", width=100, height=20, look=look),
        reliability_chart(bins(bias=0.1), title="LS", width=60, height=12, kind=1, look=look),
    ]


# --- golden pictures --------------------------------------------------------------------------

PICTURES: dict[str, Callable[[int, int], Chart]] = {
    "pair": lambda width, height: line_chart(
        collapse_pair(), title="NC1 within-class variability", width=width, height=height, cursor=12
    ),
    "reliability": lambda width, height: reliability_chart(
        bins(), title="CE  ECE 0.072  MCE 0.100  n=9,180", width=width, height=height
    ),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("width", "height"), [(60, 12), (100, 20)])
def test_the_picture_is_the_golden_one_byte_for_byte(name: str, width: int, height: int) -> None:
    picture = (PICTURES[name](width, height).plain() + "\n").encode()
    path = GOLDEN / f"{name}_{width}x{height}.txt"
    if os.environ.get("NCCLI_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    assert path.read_bytes() == picture


def test_the_same_input_gives_the_same_chart() -> None:
    first, second = (PICTURES["pair"](100, 20) for _ in range(2))
    assert first == second


# --- looks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [look for look in LOOKS if look.ascii])
def test_ascii_charts_are_seven_bit(look: Look) -> None:
    assert all(chart.plain().isascii() for chart in gallery(look))
    assert sparkline([1.0, None, 3.0], width=9, look=look).isascii()


@pytest.mark.parametrize("look", [look for look in LOOKS if not look.colour])
def test_without_colours_only_bold_and_dim_are_left(look: Look) -> None:
    used = set().union(*(styles_of(chart) for chart in gallery(look)))
    assert used <= {"", "bold", "dim"}


@pytest.mark.parametrize("look", LOOKS)
def test_every_style_is_one_rich_can_parse(look: Look) -> None:
    for style in set().union(*(styles_of(chart) for chart in gallery(look))):
        Style.parse(style)


def test_colours_do_not_change_the_characters_of_a_line_chart() -> None:
    pictures = {
        line_chart(collapse_pair(), title="NC1", width=80, height=16, look=look).plain()
        for look in LOOKS
        if not look.ascii
    }
    assert len(pictures) == 1


def test_markers_differ_even_without_colour() -> None:
    for look in (Look(colour=False), Look(colour=False, ascii=True)):
        assert len({mark(kind, look) for kind in range(8)}) == 8
        assert mark(8, look) == mark(0, look)


def luminance(colour: str) -> float:
    """WCAG 2 relative luminance of #rrggbb."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one_colour: str, other: str) -> float:
    """WCAG 2 contrast ratio, 1 to 21."""
    light, dark = sorted((luminance(one_colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("surface", ["#ffffff", "#e0e0e0"])
@pytest.mark.parametrize("colour", LIGHT)
def test_light_palette_holds_three_to_one(colour: str, surface: str) -> None:
    assert contrast(colour, surface) >= 3


@pytest.mark.parametrize("surface", ["#000000", "#121212", "#1e1e1e"])
@pytest.mark.parametrize("colour", DARK)
def test_dark_palette_holds_three_to_one(colour: str, surface: str) -> None:
    assert contrast(colour, surface) >= 3


def test_the_first_two_colours_are_the_promised_ones() -> None:
    assert [series_style(kind, Look()) for kind in (0, 1)] == ["#56b4e9", "#e69f00"]
    light = Look(light=True)
    assert [series_style(kind, light) for kind in (0, 1)] == ["#0072b2", "#9c5700"]


# --- everything fits --------------------------------------------------------------------------


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    points = draw(st.lists(st.tuples(ANY_FLOAT, ANY_VALUE), max_size=30))
    return Series(
        label=draw(st.text(max_size=30)),
        x=[x for x, _ in points],
        y=[y for _, y in points],
        kind=draw(st.integers(0, 9)),
    )


@settings(deadline=None)
@given(
    series=st.lists(any_series(), max_size=4),
    title=st.text(max_size=80),
    width=st.integers(1, 200),
    height=st.integers(1, 60),
    logs=st.tuples(st.booleans(), st.booleans()),
    lines=st.booleans(),
    cursor=ANY_VALUE,
    reference=ANY_FLOAT,
    look=st.sampled_from(LOOKS),
)
def test_a_line_chart_always_fits(
    series: list[Series],
    title: str,
    width: int,
    height: int,
    logs: tuple[bool, bool],
    lines: bool,
    cursor: float | None,
    reference: float,
    look: Look,
) -> None:
    chart = line_chart(
        series,
        title=title,
        width=width,
        height=height,
        y_log=logs[0],
        x_log=logs[1],
        cursor=cursor,
        references=[Reference(value=reference, label=title)],
        look=look,
        lines=lines,
    )
    assert widest(chart) <= width == chart.width
    assert 1 <= chart.height <= height
    assert chart.plain().strip()


@st.composite
def any_bin(draw: st.DrawFn) -> Bin:
    return Bin(
        lower=draw(st.floats(0, 1) | ANY_FLOAT),
        upper=draw(st.floats(0, 1) | ANY_FLOAT),
        count=draw(st.integers(0, 10**9)),
        confidence=draw(SHARE),
        accuracy=draw(SHARE),
    )


@settings(deadline=None)
@given(
    held=st.lists(any_bin(), max_size=30),
    title=st.text(max_size=80),
    width=st.integers(1, 200),
    height=st.integers(1, 60),
    look=st.sampled_from(LOOKS),
)
def test_a_reliability_diagram_always_fits(
    held: list[Bin], title: str, width: int, height: int, look: Look
) -> None:
    chart = reliability_chart(held, title=title, width=width, height=height, look=look)
    assert widest(chart) <= width == chart.width
    assert 1 <= chart.height <= height
    assert chart.plain().strip()


@settings(deadline=None)
@given(
    values=st.lists(ANY_VALUE, max_size=100),
    width=st.integers(0, 60),
    log=st.booleans(),
    look=st.sampled_from(LOOKS),
)
def test_a_sparkline_always_fits(
    values: list[float | None], width: int, log: bool, look: Look
) -> None:
    assert cell_len(sparkline(values, width=width, log=log, look=look)) <= width


def test_every_character_let_through_is_one_cell_wide() -> None:
    points = [chr(point) for point in range(0x20, 0x10000) if not 0xD800 <= point < 0xE000]
    kept = [character for character in points if clean(character, Look()) == character]
    assert [character for character in kept if cell_len(character) != 1] == []
    assert set("éλκ→Ωя") <= set(kept)


def test_every_ascii_spelling_is_ascii() -> None:
    assert all(spelling.isascii() for spelling in SPELLINGS.values())


def test_long_titles_and_labels_are_cut_with_an_ellipsis() -> None:
    series = one([1.0, 0.5, 0.1], label="resnet18-" * 9)
    for look, dots in ((Look(), "…"), (Look(ascii=True), "...")):
        chart = line_chart(series, title="title " * 30, width=60, height=10, look=look)
        assert lines_of(chart)[0].count(dots) == 1
        assert any(dots in line for line in lines_of(chart)[1:])


def test_hostile_text_is_inert() -> None:
    hostile = "a\x1b[31m\nb\u202e\u0301中"
    curve = one([1.0, 0.5], label=hostile)
    for look in (Look(), Look(ascii=True)):
        charts = [
            line_chart(curve, title=hostile, width=90, height=9, look=look),
            line_chart([], title=hostile, width=90, height=9, look=look),
            reliability_chart(bins(), title=hostile, width=90, height=9, look=look),
        ]
        for chart in charts:
            assert len(chart.plain().split("\n")) == chart.height == 9
            assert all(line.isprintable() for line in lines_of(chart))
            assert r"a\x1b[31m\nb\u202e\u0301\u4e2d" in chart.plain()


# --- curves -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    y=st.lists(FINITE, min_size=1, max_size=6),
    width=st.integers(45, 200),
    height=st.integers(5, 60),
    kind=st.integers(0, 7),
    lines=st.booleans(),
)
def test_every_finite_point_has_its_marker(
    y: list[float], width: int, height: int, kind: int, lines: bool
) -> None:
    series = one(y, label="run", kind=kind)
    chart = line_chart(series, title="", width=width, height=height, y_log=False, lines=lines)
    in_label = 1
    assert chart.plain().count(mark(kind, Look())) == len(y) + in_label


@settings(deadline=None)
@given(
    y=st.lists(ANY_VALUE, min_size=1, max_size=200).filter(
        lambda y: any(v is not None and math.isfinite(v) for v in y)
    ),
    width=st.integers(20, 200),
    height=st.integers(5, 60),
    kind=st.integers(0, 7),
)
def test_a_series_with_a_finite_point_shows_its_marker(
    y: list[float | None], width: int, height: int, kind: int
) -> None:
    chart = line_chart(one(y, kind=kind), title="", width=width, height=height, y_log=False)
    assert mark(kind, Look()) in chart.plain()


@settings(deadline=None)
@given(values=st.lists(FINITE, min_size=2, max_size=20), log=st.booleans())
def test_a_larger_value_is_never_placed_lower(values: list[float], log: bool) -> None:
    drawable = sorted(abs(value) for value in values if value) if log else sorted(values)
    if not drawable:
        return
    for axis in (
        value_axis(drawable, log=log, room=5, look=Look()),
        step_axis(drawable, log=log, columns=50, look=Look()),
    ):
        places = [axis.scale.place(value) for value in drawable]
        assert places == sorted(places)
        assert 0 <= places[0] <= places[-1] <= 1


def test_a_rising_curve_rises_on_the_screen() -> None:
    chart = line_chart(one([1.0, 2.0, 3.0, 4.0]), title="", width=60, height=20, y_log=False)
    plot = [line[:52] for line in lines_of(chart)]
    rows = [row for row, line in enumerate(plot) if "●" in line]
    columns = [plot[row].index("●") for row in rows]
    assert len(rows) == 4
    assert columns == sorted(columns, reverse=True)


def test_every_cursor_position_leaves_every_marker_in_place() -> None:
    def picture(cursor: float | None) -> str:
        series = collapse_pair()
        return line_chart(series, title="NC1", width=100, height=20, cursor=cursor).plain()

    bare = picture(None)
    for epoch in range(1, 21):
        crossed = picture(epoch)
        assert "┊" in crossed
        for marker in "●▲":
            where = [m.start() for line in bare.split("\n") for m in re.finditer(marker, line)]
            still = [m.start() for line in crossed.split("\n") for m in re.finditer(marker, line)]
            assert still == where


def test_a_cursor_outside_the_axis_is_not_drawn() -> None:
    for cursor in (0, 21, math.nan, math.inf):
        chart = line_chart(collapse_pair(), title="NC1", width=80, height=16, cursor=cursor)
        assert "┊" not in chart.plain()


def test_the_cursor_writes_its_epoch_in_bold() -> None:
    chart = line_chart(collapse_pair(), title="NC1", width=80, height=16, cursor=12)
    assert ("12", "bold") in [(span.text.strip(), span.style) for span in chart.rows[-1]]


def test_a_crowded_curve_marks_its_ends_and_the_cursor_and_shows_its_line() -> None:
    y = [2 + math.sin(x / 60) for x in range(1000)]
    series = one(y)
    chart = line_chart(series, title="", width=90, height=14, y_log=False, cursor=500, lines=True)
    assert 10 <= chart.plain().count("●") <= 60
    assert re.search("[\u2801-\u28ff]", chart.plain())
    column = lines_of(chart)[-2].index("┼")
    assert "●" in {line[column] for line in lines_of(chart)[1:-2] if len(line) > column}


def test_curves_that_coincide_take_turns() -> None:
    y = [1.0, 0.8, 0.6, 0.4]
    series = [*one(y, label="a", kind=0), *one(y, label="b", kind=1)]
    plot = line_chart(series, title="", width=60, height=12).plain()
    labels = 1
    assert plot.count("●") == plot.count("▲") == 2 + labels


def test_braille_bits_merge_within_one_series_only() -> None:
    crossing = [*one([1.0, 4.0], kind=0), *one([4.0, 1.0], kind=1)]
    chart = line_chart(crossing, title="", width=60, height=20, y_log=False)
    for row in chart.rows[1:-2]:
        for span in row:
            if re.search("[\u2801-\u28ff]", span.text):
                assert span.style in {series_style(0, Look()), series_style(1, Look())}
    alone = {
        glyph
        for series in crossing
        for glyph in line_chart([series], title="", width=60, height=20, y_log=False).plain()
    }
    braille = {glyph for glyph in chart.plain() if "\u2801" <= glyph <= "\u28ff"}
    assert braille <= alone


def test_a_gap_breaks_the_line() -> None:
    whole = line_chart(one([1.0] * 5), title="", width=60, height=9).plain()
    broken = line_chart(one([1.0, 1.0, None, 1.0, 1.0]), title="", width=60, height=9).plain()
    dots = "[\u2801-\u28ff]"
    assert len(re.findall(dots, broken)) < 0.7 * len(re.findall(dots, whole))
    assert broken.count("●") == whole.count("●") - 1


def test_points_only_draws_no_line_between_them() -> None:
    chart = line_chart(one([1.0, 0.1, 0.01]), title="", width=60, height=12, lines=False)
    assert not re.search("[\u2801-\u28ff]", chart.plain())


def test_x_and_y_must_pair_up() -> None:
    with pytest.raises(ValueError, match="x and y must pair up, got 2 x values, 1 y values"):
        Series(label="CE", x=[1, 2], y=[1.0], kind=0)


# --- labels and axes --------------------------------------------------------------------------


def test_a_curve_is_labelled_with_its_last_value_where_it_ends() -> None:
    chart = line_chart(collapse_pair(), title="NC1", width=100, height=20)
    labelled = {line[-12:].split("  ")[-1].strip(): line for line in lines_of(chart)}
    assert "● CE 0.235" in labelled
    assert labelled["● CE 0.235"].count("●") > 1


def test_labels_that_collide_are_pushed_apart() -> None:
    assert pushed_apart([3, 3, 3], 8) == [3, 4, 5]
    assert pushed_apart([7, 7, 7], 8) == [5, 6, 7]
    assert pushed_apart([0, 0, 4], 8) == [0, 1, 4]


def test_more_labels_than_rows_are_counted() -> None:
    series = [curve for kind in range(9) for curve in one([1.0, 2.0], label="r", kind=kind)]
    chart = line_chart(series, title="many", width=60, height=8)
    assert lines_of(chart)[5].endswith("+5")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.22, "0.22"), (0.0043, "0.0043"), (8.6e-05, "8.6e-5"), (1.234e10, "1.23e10"), (-0.0, "0")],
)
def test_values_have_three_significant_digits(value: float, text: str) -> None:
    assert short(value) == text


def y_labels(y: Sequence[float], *, log: bool = True, rows: int = 20, **look: bool) -> list[str]:
    chart = line_chart(one(y), title="", width=80, height=rows, y_log=log, look=Look(**look))
    labels = (re.match(r" *([^ ┤+]+)[┤+]", line) for line in lines_of(chart)[1:-2])
    return [label[1] for label in labels if label]


def test_a_wide_log_axis_ticks_at_decades() -> None:
    assert y_labels([1e-4, 1.0]) == ["10⁰", "10⁻¹", "10⁻²", "10⁻³", "10⁻⁴"]
    assert y_labels([1e-3, 1.0], ascii=True) == ["1e0", "1e-1", "1e-2", "1e-3"]


def test_a_narrow_log_axis_adds_twos_and_fives_in_plain_numbers() -> None:
    assert y_labels([0.02, 1.0]) == ["1", "0.5", "0.2", "0.1", "0.05", "0.02"]


def test_a_very_wide_log_axis_skips_decades_evenly() -> None:
    labels = y_labels([1e-300, 1e300], rows=12)
    assert labels == ["10³⁰⁰", "10²⁰⁰", "10⁰", "10⁻²⁰⁰", "10⁻³⁰⁰"]


def test_a_linear_axis_ends_at_round_numbers_around_the_data() -> None:
    labels = y_labels([0.931, 0.988], log=False)
    assert (labels[0], labels[-1]) == ("0.99", "0.93")


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("y", [[3e-5, 9e-5], [0.2, 0.2], [1e-9, 1e9], [0.93, 0.99], [5e3, 2e5]])
def test_both_ends_of_an_axis_are_labelled(y: list[float], log: bool) -> None:
    chart = line_chart(one(y), title="", width=80, height=12, y_log=log)
    rows = lines_of(chart)
    assert "┤" in rows[1]
    assert "┤" in rows[-3]
    assert rows[-1].split() == ["0", "1", "epoch"]


def test_the_title_row_tells_the_scales() -> None:
    def tag(*, x: bool, y: bool) -> str:
        chart = line_chart(collapse_pair(), title="t", width=60, height=9, x_log=x, y_log=y)
        return lines_of(chart)[0].split("  ")[-1].strip()

    assert tag(x=False, y=True) == "log"
    assert tag(x=False, y=False) == "linear"
    assert tag(x=True, y=True) == "log-log"
    assert tag(x=True, y=False) == "log x"


def test_a_reference_is_a_dashed_line_with_its_label() -> None:
    etf = Reference(value=-1 / 9, label="ETF")
    series = one([-0.05, -0.09, -0.12])
    chart = line_chart(series, title="", width=70, height=14, y_log=False, references=[etf])
    (line,) = (line for line in lines_of(chart) if "╌╌╌" in line)
    assert line.endswith("╌ ETF -0.111")


def test_a_reference_a_log_axis_cannot_show_is_pointed_at() -> None:
    zero = Reference(value=0.0, label="ideal")
    chart = line_chart(collapse_pair(), title="", width=80, height=14, references=[zero])
    assert "↓ ideal 0" in chart.plain()
    assert "╌" not in chart.plain()


def test_a_far_reference_does_not_squeeze_the_data() -> None:
    far = Reference(value=1e12, label="far")
    near = line_chart(one([1.0, 2.0, 3.0]), title="", width=80, height=14, y_log=False)
    chart = line_chart(
        one([1.0, 2.0, 3.0]), title="", width=80, height=14, y_log=False, references=[far]
    )
    assert "↑ far 1e12" in chart.plain()
    assert [line[:4] for line in lines_of(chart)] == [line[:4] for line in lines_of(near)]


# --- degenerate charts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([], "no series"),
        (one([None, math.nan, math.inf]), "no finite values"),
        (one([0.0, -1.0]), "nothing above 0 for a log axis"),
        (one([0.3]), "one point"),
        (one([0.3, 0.3]), "constant"),
        (one([1.0, 0.0, 0.1]), "1 point ≤ 0 not shown"),
    ],
)
def test_a_degenerate_chart_says_why_in_dim(series: list[Series], message: str) -> None:
    chart = line_chart(series, title="NC1", width=70, height=9, look=Look(colour=False))
    (span,) = (span for row in chart.rows for span in row if message in span.text)
    assert span.style == "dim"
    assert chart.plain().startswith("NC1")
    assert chart.height == 9


@pytest.mark.parametrize(("width", "height"), [(19, 20), (60, 4), (12, 3)])
def test_too_little_room_gives_the_last_values_as_text(width: int, height: int) -> None:
    chart = line_chart(collapse_pair(), title="NC1", width=width, height=height)
    assert lines_of(chart)[0] == "NC1"
    assert lines_of(chart)[1] == "● CE 0.235"
    assert lines_of(chart)[-1].startswith("too small")


@pytest.mark.parametrize(("width", "height"), [(0, 0), (-3, 5), (5, -3)])
def test_no_room_at_all_gives_an_empty_chart(width: int, height: int) -> None:
    assert line_chart(collapse_pair(), title="NC1", width=width, height=height).plain() == ""


def test_a_diagram_without_samples_says_so() -> None:
    for held in ([], bins(empty=range(15))):
        chart = reliability_chart(held, title="CE", width=60, height=12)
        assert "every bin is empty" in chart.plain()


# --- reliability ------------------------------------------------------------------------------


def columns_of(chart: Chart, start: int, stop: int) -> set[str]:
    """Characters of the plot and the count strip in canvas columns `start` to `stop`."""
    rows = [line.ljust(stop)[start:stop] for line in lines_of(chart)[1:]]
    return set("".join(rows))


def test_an_empty_bin_is_drawn_empty_and_not_as_zero_accuracy() -> None:
    left, cells = 6, 4
    at = 7
    start = left + at * cells
    empty = reliability_chart(bins(empty=[at]), title="", width=70, height=20)
    assert not columns_of(empty, start, start + cells) & BARS
    wrong = [
        Bin(lower=b.lower, upper=b.upper, count=5, confidence=0.5, accuracy=0.0)
        if index == at
        else b
        for index, b in enumerate(bins())
    ]
    zero = reliability_chart(wrong, title="", width=70, height=20)
    assert {"▒"} < columns_of(zero, start, start + cells) & BARS


def test_over_and_under_confidence_have_their_own_shade() -> None:
    def plot(bias: float) -> str:
        chart = reliability_chart(bins(bias=bias), title="", width=70, height=30)
        return "\n".join(lines_of(chart)[1:])

    assert "▒" in plot(-0.2)
    assert "▓" not in plot(-0.2)
    assert "▓" in plot(0.2)
    assert "▒" not in plot(0.2)


@pytest.mark.parametrize("eighths", range(1, 9))
def test_a_bar_is_as_high_as_the_accuracy_to_an_eighth_of_a_cell(eighths: int) -> None:
    rows = 15
    accuracy = (4 + eighths / 8) / rows
    held = [Bin(lower=0, upper=1, count=5, confidence=None, accuracy=accuracy)]
    chart = reliability_chart(held, title="", width=40, height=rows + 5)
    column = [line.ljust(21)[20] for line in lines_of(chart)[1 : rows + 1]]
    assert column[-4:] == ["█"] * 4
    assert column[-5] == "▁▂▃▄▅▆▇█"[eighths - 1]


def test_equal_bins_get_equally_many_cells() -> None:
    chart = reliability_chart(bins(bias=0.0, empty=()), title="", width=80, height=20)
    steps = re.findall(r"▁+|▂+|▃+|▄+|▅+|▆+|▇+", lines_of(chart)[-2])
    assert {len(step) for step in steps} == {4}


def test_the_count_strip_shows_a_single_sample() -> None:
    held = [
        Bin(lower=0, upper=0.5, count=1, confidence=0.3, accuracy=0.3),
        Bin(lower=0.5, upper=1, count=10**6, confidence=0.8, accuracy=0.8),
    ]
    strip = lines_of(reliability_chart(held, title="", width=46, height=12))[-1]
    assert strip.startswith("log n ")
    assert strip[6] == "▁"
    assert strip[-1] == "█"


def test_the_axis_of_a_diagram_runs_from_zero_to_one() -> None:
    labels = lines_of(reliability_chart(bins(), title="", width=100, height=20))[-3].split()
    assert labels == ["0", "0.25", "0.5", "0.75", "confidence", "1"]


# --- sparkline --------------------------------------------------------------------------------


def test_a_sparkline_goes_from_low_to_high() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], width=8) == "▁▂▃▄▅▆▇█"
    assert sparkline([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], width=8, log=True) == (
        "▁▂▃▄▅▆▇█"
    )


def test_a_sparkline_leaves_gaps_blank_and_a_constant_in_the_middle() -> None:
    assert sparkline([3.0, None, math.nan, 3.0], width=9) == "▅  ▅"
    assert sparkline([0.0, 1.0], width=9, log=True) == " ▅"
    assert sparkline([None], width=9) == ""


def test_a_long_sparkline_averages_what_shares_a_cell() -> None:
    assert sparkline(range(800), width=8) == "▁▂▃▄▅▆▇█"


# --- cost -------------------------------------------------------------------------------------


def test_a_wide_chart_of_two_curves_takes_at_most_five_milliseconds() -> None:
    pair = collapse_pair(50)

    def seconds() -> float:
        start = time.perf_counter()
        line_chart(pair, title="NC1", width=140, height=20, cursor=30)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(20)) <= 0.005


def test_charts_import_neither_rich_nor_textual_nor_numpy() -> None:
    code = "import sys, nccli.charts; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"rich", "textual", "numpy"} & set(result.stdout.split())
