"""Charts: what the pictures show, that they always fit, and that hostile text stays inert.

Golden pictures live in tests/golden/charts/*.txt and are compared byte for byte. After an
intended change, rewrite them and read the diff:

    NCCLI_UPDATE_GOLDEN=1 pytest tests/test_charts.py
"""

import dataclasses
import itertools
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
    Counts,
    Look,
    Reference,
    Series,
    Span,
    histogram,
    line_chart,
    mark,
    reliability_chart,
    series_style,
    sparkline,
)
from nccli.charts.canvas import row_of
from nccli.charts.lettering import SPELLINGS, clean, short
from nccli.charts.palette import DARK, LIGHT, faint, ink, mixed
from nccli.charts.scale import step_axis, value_axis
from nccli.charts.tags import pushed_apart

Range = tuple[float, float]
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


def spread_pair(epochs: int = 20) -> list[Series]:
    """The pair with the spread of a few seeds around each point."""

    def around(series: Series, share: float) -> Series:
        known = [y for y in series.y if y is not None]
        low, high = [y * (1 - share) for y in known], [y * (1 + 2 * share) for y in known]
        return dataclasses.replace(series, low=low, high=high)

    ce, ls = collapse_pair(epochs)
    return [around(ce, 0.2), around(ls, 0.45)]


def side_by_side(width: int, height: int) -> Chart:
    """Each curve in a chart of its own, both on the axes of the two together."""
    left, right = (
        line_chart([one], title=f"NC1 {one.label}", width=width // 2 - 1, height=height,
                   x_range=(1, 20), y_range=(0.002, 8))
        for one in spread_pair()
    )  # fmt: skip
    blank = [""] * height
    pairs = zip(lines_of(left) + blank, lines_of(right) + blank, strict=False)
    rows = [f"{one:<{width // 2 + 1}}{other}" for one, other in pairs][:height]
    return Chart(rows=tuple((Span(row, ""),) for row in rows), width=width)


def confidences(number: int = 20) -> tuple[list[float], list[Counts]]:
    """Samples by confidence, and the wrong ones among them."""
    edges = [at / number for at in range(number + 1)]
    every = [round(900 * math.exp(5 * (edge - 1))) for edge in edges[1:]]
    wrong = [round(count * (1 - edge) * 0.8) for count, edge in zip(every, edges, strict=False)]
    return edges, [
        Counts(label="all", counts=every, kind=0),
        Counts(label="wrong", counts=wrong, kind=1),
    ]


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
        line_chart(spread_pair(), title="seeds", width=70, height=12, broken=[3, 21], look=look),
        line_chart(one([1e-7, 2e-7]), title="flat", width=70, height=12, y_log=False, look=look),
        line_chart(pair, title="a title far too long for it", width=19, height=4, look=look),
        histogram(*confidences(), title="λ", width=70, height=12, x_label="κ", look=look),
        histogram(*confidences(), title="λ", width=30, height=7, count_log=True, look=look),
        histogram(*confidences(90), title="λ", width=70, height=9, look=look),
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
    "spread": lambda width, height: line_chart(
        spread_pair(), title="NC1, 5 seeds", width=width, height=height, cursor=12
    ),
    "side-by-side": side_by_side,
    "zoom": lambda width, height: line_chart(
        spread_pair(), title="NC1", width=width, height=height, x_range=(4.5, 13), cursor=12
    ),
    "histogram": lambda width, height: histogram(
        *confidences(), title="Confidence", width=width, height=height, x_label="confidence"
    ),
    "histogram-plain": lambda width, height: histogram(
        *confidences(),
        title="Confidence",
        width=width,
        height=height,
        count_log=True,
        look=Look(colour=False),
    ),
    "histogram-ascii": lambda width, height: histogram(
        *confidences(50),
        title="Confidence",
        width=width,
        height=height,
        x_label="confidence",
        look=Look(ascii=True),
    ),
    "broken": lambda width, height: line_chart(
        collapse_pair(18),
        title="NC1",
        width=width,
        height=height,
        cursor=12,
        broken=[5, 12, 19, 20],
    ),
}


SIZES = {
    "pair": [(60, 12), (100, 20)],
    "reliability": [(60, 12), (100, 20)],
    "side-by-side": [(140, 40), (80, 24), (44, 12), (25, 7)],
}
FOUR_SIZES = [(140, 40), (80, 24), (40, 12), (25, 7)]


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [(name, *size) for name in PICTURES for size in SIZES.get(name, FOUR_SIZES)],
)
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


ANY_RANGE = st.none() | st.tuples(FINITE, FINITE).map(lambda pair: (min(pair), max(pair)))


@st.composite
def any_series(draw: st.DrawFn) -> Series:
    points = draw(st.lists(st.tuples(ANY_FLOAT, *[ANY_VALUE] * 3), max_size=30))
    spread = draw(st.booleans())
    return Series(
        label=draw(st.text(max_size=30)),
        x=[x for x, *_ in points],
        y=[y for _, y, _, _ in points],
        low=[low for *_, low, _ in points] if spread else (),
        high=[high for *_, high in points] if spread else (),
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
    ranges=st.tuples(ANY_RANGE, ANY_RANGE),
    fit=st.booleans(),
    broken=st.lists(ANY_FLOAT, max_size=3),
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
    ranges: tuple[Range | None, Range | None],
    fit: bool,
    broken: list[float],
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
        x_range=ranges[0],
        y_range=ranges[1],
        fit=fit,
        broken=broken,
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


@pytest.mark.parametrize("x", [[7.12e-6, 1.12e-4], [-0.000662, 3.51e-5], [123456, 234567]])
@pytest.mark.parametrize("width", [20, 25, 30])
def test_both_ends_of_a_narrow_x_axis_are_labelled(x: list[float], width: int) -> None:
    series = [Series(label="a", x=x, y=[1.0, 2.0], kind=0)]
    chart = line_chart(series, title="", width=width, height=7, x_label="")
    labels = lines_of(chart)[-1].split()
    assert [float(label) for label in (labels[0], labels[-1])] == x


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


# --- spread -----------------------------------------------------------------------------------

BRAILLE = "[\u2801-\u28ff]"
SMALL = st.integers(-20, 20).map(float)


def cells_of(chart: Chart, style: str) -> dict[tuple[int, int], str]:
    """Column and row of every glyph drawn in a style, blanks left out."""
    found = {}
    for row, spans in enumerate(chart.rows):
        column = 0
        for span in spans:
            for glyph in span.text:
                if span.style == style and glyph != " ":
                    found[column, row] = glyph
                column += 1
    return found


def spread_of(chart: Chart, kind: int = 0) -> dict[tuple[int, int], str]:
    return cells_of(chart, faint(kind, Look()))


def markers_in(chart: Chart, kind: int = 0) -> list[tuple[int, int]]:
    """Column and row of the markers of a series, its label left out (that one is bold)."""
    found = cells_of(chart, series_style(kind, Look()))
    return sorted(cell for cell, glyph in found.items() if glyph == mark(kind, Look()))


def seeds(*points: tuple[float, float, float], kind: int = 0) -> list[Series]:
    """A curve of (low, y, high) at x = 0, 1, 2 ..."""
    low, y, high = zip(*points, strict=True)
    return [Series(label="CE", x=range(len(y)), y=y, low=low, high=high, kind=kind)]


@pytest.mark.parametrize("name", ["low", "high"])
def test_a_spread_has_one_end_for_each_x(name: str) -> None:
    with pytest.raises(ValueError, match=f"x and {name} must pair up, got 2 x values, 1 {name}"):
        Series(label="CE", x=[1, 2], y=[1.0, 2.0], kind=0, **{name: [1.0]})


def test_a_spread_without_both_ends_is_not_drawn() -> None:
    points = Series(label="CE", x=[1, 2], y=[1.0, 2.0], kind=0)
    for ends in ({"low": [0.5, 1.0]}, {"low": [None, 1.0], "high": [3.0, None]}):
        half = dataclasses.replace(points, **ends)
        assert line_chart([half], title="", width=60, height=12) == line_chart(
            [points], title="", width=60, height=12
        )


@settings(deadline=None)
@given(
    points=st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=6),
    height=st.integers(5, 40),
)
def test_a_stroke_stays_between_the_rows_of_its_ends(
    points: list[tuple[float, float, float]], height: int
) -> None:
    chart = line_chart(seeds(*points), title="", width=60, height=height, y_log=False)
    heights = [value for point in points for value in point]
    axis = value_axis(heights, log=False, room=5, look=Look())
    columns = [column for column, _ in markers_in(chart)]
    where = dict(zip(columns, points, strict=True))
    for column, row in spread_of(chart):
        ends = sorted(where[column][::2])
        bottom, top = (1 + row_of(axis.scale.place(end), height - 3) for end in ends)
        assert top <= row <= bottom


def test_the_axis_holds_the_spread() -> None:
    narrow = y_labels([1.0, 2.0], log=False)
    chart = line_chart(
        seeds((0.0, 1.0, 5.0), (1.0, 2.0, 9.0)), title="", width=80, height=20, y_log=False
    )
    assert (narrow[0], narrow[-1]) == ("2.0", "1.0")
    assert lines_of(chart)[1].startswith("9┤")
    assert lines_of(chart)[17].startswith("0┤")


def test_a_low_end_that_a_log_axis_lacks_reaches_its_bottom() -> None:
    chart = line_chart(seeds((-1.0, 1.0, 2.0), (0.1, 1.0, 2.0)), title="", width=60, height=14)
    first = min(column for column, _ in spread_of(chart))
    assert (first, 11) in spread_of(chart)
    assert lines_of(chart)[11].startswith("0.1┤")


def test_a_stroke_hides_no_marker_and_no_line() -> None:
    with_spread = line_chart(spread_pair(), title="", width=100, height=30, y_range=(1e-3, 20))
    bare = line_chart(collapse_pair(), title="", width=100, height=30, y_range=(1e-3, 20))
    assert spread_of(with_spread, 0)
    assert spread_of(with_spread, 1)
    for kind in (0, 1):
        style = series_style(kind, Look())
        assert cells_of(with_spread, style) == cells_of(bare, style)


def test_a_stroke_is_fainter_than_its_curve_and_still_there() -> None:
    for look, surface in ((Look(), "#1e1e1e"), (Look(light=True), "#ffffff")):
        for kind in range(8):
            there = contrast(faint(kind, look), surface)
            assert 1.5 < there < contrast(series_style(kind, look), surface)
    assert faint(0, Look(colour=False)) == "dim"


def test_ascii_strokes_are_bars() -> None:
    chart = line_chart(
        seeds((1.0, 2.0, 9.0), (1.0, 2.0, 9.0)), title="", width=60, height=14, lines=False,
        look=Look(ascii=True),
    )  # fmt: skip
    assert set(spread_of(chart).values()) == {"|"}


# --- ranges -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    y=st.lists(SMALL, min_size=1, max_size=8),
    x_range=st.tuples(SMALL, SMALL).map(sorted),
    y_range=st.none() | st.tuples(SMALL, SMALL).map(sorted),
    height=st.integers(5, 40),
)
def test_every_point_in_range_has_its_marker_in_order(
    y: list[float], x_range: list[float], y_range: list[float] | None, height: int
) -> None:
    chart = line_chart(
        one(y), title="", width=90, height=height, y_log=False,
        x_range=(x_range[0], x_range[1]), y_range=(y_range[0], y_range[1]) if y_range else None,
    )  # fmt: skip
    inside = [v for x, v in enumerate(y) if x_range[0] <= x <= x_range[1]]
    if y_range:
        scale = value_axis(y_range, log=False, room=5, look=Look()).scale
        inside = [v for v in inside if scale.low <= v <= scale.high]
    found = markers_in(chart)
    assert len(found) == len(inside)
    for (left, low), (right, high) in itertools.pairwise(
        (value, -row) for value, (_, row) in sorted(zip(inside, found, strict=True))
    ):
        assert low <= high or left == right


@settings(deadline=None)
@given(
    y=st.lists(FINITE, min_size=2, max_size=8),
    y_range=st.tuples(SMALL, SMALL).map(sorted),
    x_range=st.tuples(SMALL, SMALL).map(sorted),
    log=st.booleans(),
)
def test_nothing_is_drawn_outside_the_plot(
    y: list[float], x_range: list[float], y_range: list[float], log: bool
) -> None:
    series = seeds(*[(-value, value, 2 * value) for value in y])
    chart = line_chart(
        series, title="", width=70, height=14, y_log=log,
        x_range=(x_range[0], x_range[1]), y_range=(y_range[0], y_range[1]),
    )  # fmt: skip
    lines = lines_of(chart)
    if "┤" not in lines[1]:  # nothing in view
        return
    left = lines[1].index("┤")
    for style in (series_style(0, Look()), faint(0, Look())):
        for column, row in cells_of(chart, style):
            assert column > left
            assert 1 <= row <= 11


def test_a_stretch_of_x_shows_its_points_and_fits_the_y_axis_to_them() -> None:
    chart = line_chart(
        one([1000.0, 100.0, 3.0, 2.0, 1.0, 0.001]), title="", width=60, height=16, x_range=(2, 4)
    )
    assert len(markers_in(chart)) == 3
    assert lines_of(chart)[1].startswith("3┤")
    assert lines_of(chart)[-3].startswith("1┤")
    assert lines_of(chart)[-1].split() == ["2", "3", "4", "epoch"]
    assert "● CE 1" in chart.plain()


def test_a_line_that_leaves_the_stretch_runs_to_its_border() -> None:
    chart = line_chart(
        one([1.0, 1.0, 1.0, 1.0]), title="", width=60, height=11, y_log=False, x_range=(0.5, 2.5)
    )
    (line,) = (line for line in lines_of(chart) if "● CE" in line)
    plot = line[line.index("┤") + 1 : line.index("● CE") - 2]
    assert re.fullmatch(f"{BRAILLE}+●{BRAILLE}+●{BRAILLE}+", plot)


def test_a_line_that_leaves_a_range_of_y_runs_to_its_border() -> None:
    chart = line_chart(
        one([0.0, 10.0]), title="", width=60, height=13, y_log=False, y_range=(0, 5), lines=True
    )
    line_cells = cells_of(chart, series_style(0, Look()))
    right_end = max(column for column, _ in line_cells)
    assert {row for _, row in line_cells} == set(range(1, 11))
    assert right_end < len(lines_of(chart)[-2]) * 0.6
    assert lines_of(chart)[-1].split()[:2] == ["0", "1"]


def test_a_series_out_of_view_has_no_label() -> None:
    early = Series(label="early", x=[1, 2], y=[1.0, 2.0], kind=0)
    late = Series(label="late", x=[8, 9], y=[1.0, 2.0], kind=1)
    chart = line_chart([early, late], title="", width=60, height=12, x_range=(0, 5))
    assert "● early 2" in chart.plain()
    assert "late" not in chart.plain()
    assert "▲" not in chart.plain()


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"x_range": (30, 40.5)}, "no point between 30 and 40.5"),
        ({"y_range": (30, 40)}, "no point between 30 and 40 on the y axis"),
        ({"y_range": (-3, 0)}, "nothing above 0 for a log axis"),
    ],
)
def test_a_range_without_points_says_so(ranges: dict[str, Range], message: str) -> None:
    chart = line_chart(collapse_pair(), title="NC1", width=70, height=9, **ranges)  # type: ignore[arg-type]
    assert [line.strip() for line in lines_of(chart) if line.strip()] == ["NC1", message]


@pytest.mark.parametrize("ends", [(2, 1), (0, math.nan), (-math.inf, 0)])
def test_a_range_goes_from_a_finite_low_to_a_finite_high(ends: Range) -> None:
    with pytest.raises(ValueError, match="x_range must be two finite numbers, the lower first"):
        line_chart(collapse_pair(), title="", width=70, height=9, x_range=ends)
    with pytest.raises(ValueError, match="y_range must be two finite numbers, the lower first"):
        line_chart(collapse_pair(), title="", width=70, height=9, y_range=ends)


def test_charts_with_one_range_share_their_axis() -> None:
    left, right = (
        line_chart([curve], title="", width=70, height=16, y_range=(0.002, 7))
        for curve in collapse_pair()
    )
    axes = [
        [re.split("[┤│]", line)[0] for line in lines_of(chart)[1:-2]] for chart in (left, right)
    ]
    assert axes[0] == axes[1]
    assert axes[0][0].strip() == "7"
    assert axes[0][-1].strip() == "0.002"


@pytest.mark.parametrize("log", [True, False])
def test_a_fitted_axis_is_not_stretched_by_references(log: bool) -> None:
    def chart(fit: bool, *values: float) -> str:
        marks = [Reference(value=value, label="ideal") for value in values]
        series = one([2.0, 3.0, 4.0])
        return line_chart(
            series, title="", width=70, height=14, y_log=log, references=marks, fit=fit
        ).plain()

    bare = [line[:4] for line in chart(False).split("\n")]
    assert [line[:4] for line in chart(True, 1.0).split("\n")] == bare
    assert [line[:4] for line in chart(False, 1.0).split("\n")] != bare
    assert "↓ ideal 1" in chart(True, 1.0)
    assert "↑ ideal 5" in chart(True, 5.0)
    assert "╌ ideal 3" in chart(True, 3.0)


# --- broken files -----------------------------------------------------------------------------


def crosses(chart: Chart, look: Look = Look()) -> list[int]:  # noqa: B008 - frozen
    """The columns of the marks of files that could not be read."""
    found = cells_of(chart, ink(look, "broken"))
    assert {row for _, row in found} <= {chart.height - 2}
    assert set(found.values()) <= {"x" if look.ascii else "✗"}
    return sorted(column for column, _ in found)


@pytest.mark.parametrize("light", [True, False])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_broken_file_is_crossed_on_the_axis_over_ticks_and_cursor(
    light: bool, ascii_only: bool
) -> None:
    look = Look(light=light, ascii=ascii_only)
    chart = line_chart(
        collapse_pair(), title="", width=80, height=14, cursor=12, broken=[1, 7, 12], look=look
    )
    assert len(crosses(chart, look)) == 3


def test_the_axis_is_stretched_to_broken_files_unless_a_range_is_given() -> None:
    def chart(x_range: Range | None) -> Chart:
        return line_chart(
            collapse_pair(),
            title="",
            width=80,
            height=14,
            broken=[0, 25, math.nan],
            x_range=x_range,
        )

    assert len(crosses(chart(None))) == 2
    assert lines_of(chart(None))[-1].split()[::5] == ["0", "25"]
    assert crosses(chart((1, 20))) == []
    assert len(crosses(chart((1, 25)))) == 1


def test_a_broken_file_at_zero_has_no_place_on_a_log_axis() -> None:
    chart = line_chart(collapse_pair(), title="", width=80, height=14, broken=[0, 3], x_log=True)
    assert len(crosses(chart)) == 1


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


def test_bins_that_share_a_column_are_drawn_as_the_bin_they_make_together() -> None:
    def chart(parts: int) -> Chart:
        held = [
            Bin(
                lower=at / (15 * parts), upper=(at + 1) / (15 * parts), count=4,
                confidence=0.5, accuracy=[0.2, 0.5, 0.8][at % 3] if parts > 1 else 0.5,
            )
            for at in range(15 * parts)
        ]  # fmt: skip
        return reliability_chart(held, title="", width=21, height=12)

    inner = slice(7, 20)  # every column but the first and the last holds three bins
    plots = [[line[inner] for line in lines_of(chart(parts))[1:-2]] for parts in (3, 1)]
    assert plots[0] == plots[1]


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


# --- histogram --------------------------------------------------------------------------------

EIGHTHS = " ▁▂▃▄▅▆▇█"
COUNT = st.integers(0, 1000).map(float)


def bar_columns(chart: Chart) -> list[str]:
    """The plot's columns, each read from the bottom up; a front before a back is as `█`."""
    rows = [
        "".join("█" * len(s.text) if " on " in s.style else s.text for s in spans)
        for spans in chart.rows
    ]
    left = rows[-2].index("└") + 1
    plot = [row.ljust(chart.width)[left : len(rows[-2])].replace("┈", " ") for row in rows[1:-2]]
    return ["".join(column)[::-1] for column in zip(*plot, strict=True)]


def bar_height(column: str) -> float:
    """In cells; `▓` fills one."""
    bar = column.rstrip()
    return len(bar) - 1 + EIGHTHS.index(bar[-1].replace("▓", "█")) / 8 if bar else 0.0


@settings(deadline=None)
@given(
    held=st.lists(st.tuples(st.floats(0), st.floats(0)), max_size=60),
    edges=st.data(),
    title=st.text(max_size=40),
    width=st.integers(1, 150),
    height=st.integers(1, 40),
    log=st.booleans(),
    number=st.integers(0, 2),
    look=st.sampled_from(LOOKS),
)
def test_a_histogram_always_fits(
    held: list[tuple[float, float]],
    edges: st.DataObject,
    title: str,
    width: int,
    height: int,
    log: bool,
    number: int,
    look: Look,
) -> None:
    held = [pair for pair in held if all(map(math.isfinite, pair))]
    size = len(held) + 1
    ends = edges.draw(st.lists(FINITE, min_size=size, max_size=size, unique=True))
    counts = [
        Counts(label=title, counts=[pair[at] for pair in held], kind=at) for at in range(number)
    ]
    chart = histogram(
        sorted(ends), counts, title=title, width=width, height=height, x_label=title,
        count_log=log, look=look,
    )  # fmt: skip
    assert widest(chart) <= width == chart.width
    assert 1 <= chart.height <= height
    assert chart.plain().strip()
    assert chart.plain().isascii() or not look.ascii


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(COUNT, COUNT).map(sorted), min_size=1, max_size=15),
    height=st.integers(5, 40),
    log=st.booleans(),
)
def test_a_taller_count_never_has_a_shorter_bar(
    pairs: list[list[float]], height: int, log: bool
) -> None:
    counts = [
        Counts(label="all", counts=[every for _, every in pairs], kind=0),
        Counts(label="wrong", counts=[wrong for wrong, _ in pairs], kind=1),
    ]
    if not any(counts[0].counts):
        return
    edges = range(len(pairs) + 1)
    chart = histogram(edges, counts, title="", width=100, height=height, count_log=log)
    columns = bar_columns(chart)
    size = len(columns) // len(pairs)
    heights = [bar_height(column) for column in columns[::size][: len(pairs)]]
    by_count = sorted(zip(counts[0].counts, heights, strict=True))
    assert [bar for _, bar in by_count] == sorted(heights)
    assert all((bar > 0) == (count > 0) for count, bar in by_count)


@pytest.mark.parametrize("look", [Look(), Look(light=True)])
def test_a_front_bar_keeps_its_colour_in_every_bin(look: Look) -> None:
    counts = [
        Counts(label="all", counts=[1000, 1000, 1, 500], kind=0),
        Counts(label="wrong", counts=[1, 900, 1, 0], kind=1),
    ]
    chart = histogram(range(5), counts, title="", width=40, height=12, look=look)
    bottom = chart.rows[-3]
    fronts = {series_style(1, look), mixed(series_style(0, look), series_style(1, look), 0.75)}
    drawn = [span for span in bottom if set(span.text) & set("▁▂▃▄▅▆▇█▓")]
    coloured = [bool(fronts & set(span.style.split())) for span in drawn]
    assert coloured == [True, True, True, False]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_without_colours_the_front_is_another_glyph_in_every_bin(ascii_only: bool) -> None:
    solid, shade = "#x" if ascii_only else "█▓"
    look = Look(colour=False, ascii=ascii_only)
    edges, counts = confidences()
    chart = histogram(edges, counts, title="", width=90, height=12, look=look)
    assert lines_of(chart)[0].split() == [solid, "all", shade, "wrong"]
    assert lines_of(chart)[-3].count(shade) == len(lines_of(chart)[-2]) - 4
    assert solid in lines_of(chart)[5]


@settings(deadline=None)
@given(
    number=st.integers(1, 300),
    held=st.integers(0, 299),
    width=st.integers(20, 100),
    log=st.booleans(),
    look=st.sampled_from(LOOKS),
)
def test_the_only_bin_that_holds_something_is_seen(
    number: int, held: int, width: int, log: bool, look: Look
) -> None:
    values = [float(at == held % number) for at in range(number)]
    counts = [Counts(label="", counts=values, kind=0)]
    chart = histogram(
        range(number + 1), counts, title="", width=width, height=9, count_log=log, look=look
    )
    bars = set("".join(lines_of(chart)[1:-2])) & set("#" if look.ascii else EIGHTHS)
    assert bars - {" "}


def test_a_single_count_is_seen_beside_a_million() -> None:
    for log in (True, False):
        counts = [Counts(label="n", counts=[1, 1e6], kind=0)]
        chart = histogram([0, 1, 2], counts, title="", width=60, height=12, count_log=log)
        columns = bar_columns(chart)
        assert bar_height(columns[0]) >= (1 if log else 1 / 8)
        assert bar_height(columns[-1]) == 9


def test_a_histogram_labels_both_ends_and_round_numbers() -> None:
    counts = [Counts(label="n", counts=[3, 1, 2, 0], kind=0)]
    chart = histogram([0.5, 1, 1.5, 2, 2.5], counts, title="", width=90, height=12)
    assert lines_of(chart)[-1].split() == ["0.5", "1.0", "1.5", "2.0", "2.5"]
    assert [line[0] for line in lines_of(chart)[1:-2] if line[1] == "┤"] == ["3", "2", "0"]


def test_a_tick_stands_where_its_bar_begins() -> None:
    edges = [at / 10 for at in range(11)]
    counts = [Counts(label="n", counts=[float(at % 2) for at in range(10)], kind=0)]
    chart = histogram(edges, counts, title="", width=110, height=12)
    axis, bars = lines_of(chart)[-2], lines_of(chart)[-3]
    starts = [match.start() for match in re.finditer("█+", bars)]
    ticks = [match.start() for match in re.finditer("┬", axis)]
    assert set(starts) <= set(ticks)


def test_bins_narrower_than_a_column_are_averaged_and_the_title_says_so() -> None:
    counts = [Counts(label="n", counts=[4.0, 8.0] * 50, kind=0)]
    chart = histogram(range(101), counts, title="narrow", width=60, height=12)
    assert "a column: the mean of up to 2 bins" in lines_of(chart)[0]
    assert lines_of(chart)[1].startswith("8┤")


def test_two_counts_of_one_kind_are_told_apart() -> None:
    counts = [Counts(label=name, counts=[9.0], kind=2) for name in ("all", "wrong")]
    chart = histogram([0, 1], counts, title="", width=60, height=12)
    assert faint(2, Look()) in styles_of(chart)


@pytest.mark.parametrize(
    ("edges", "counts", "reason"),
    [
        ([0, 1], [], "no counts"),
        ([], [Counts(label="n", counts=[], kind=0)], "no bins"),
        ([0, 1, 2], [Counts(label="n", counts=[0, 0], kind=0)], "every bin is empty"),
    ],
)
def test_an_empty_histogram_says_why(edges: list[float], counts: list[Counts], reason: str) -> None:
    chart = histogram(edges, counts, title="Confidence", width=60, height=9)
    assert lines_of(chart)[0] == "Confidence"
    assert f"nothing to draw: {reason}" in chart.plain()


def test_a_histogram_without_room_tells_its_totals() -> None:
    edges, counts = confidences()
    chart = histogram(edges, counts, title="Confidence", width=19, height=6)
    assert lines_of(chart)[:3] == ["Confidence", "█ all 4.04e3", "▓ wrong 709"]


@pytest.mark.parametrize("count", [-1.0, math.nan, math.inf])
def test_counts_are_finite_and_not_negative(count: float) -> None:
    with pytest.raises(ValueError, match=f"counts 'n' must be finite and >= 0, got {count}"):
        Counts(label="n", counts=[1.0, count], kind=0)


@pytest.mark.parametrize(
    ("edges", "number", "message"),
    [
        ([0, 1, 1], 1, "edges of bins must be finite and rise"),
        ([0, 1, math.inf], 1, "edges of bins must be finite and rise"),
        ([0, 1], 1, "counts 'n' must be one fewer than the edges, got 2 edges, 2 counts"),
        ([0, 1, 2], 3, "a histogram holds at most 2 counts, got 3"),
    ],
)
def test_edges_and_counts_must_fit(edges: list[float], number: int, message: str) -> None:
    counts = [Counts(label="n", counts=[1.0, 2.0], kind=0)] * number
    with pytest.raises(ValueError, match=message):
        histogram(edges, counts, title="", width=60, height=9)


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
