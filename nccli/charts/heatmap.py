"""Heatmaps of the cosines between all pairs of classes. Unlike its siblings it needs numpy."""

from collections.abc import Sequence
from typing import Any

from nccli.charts.blocks import Floats, as_cosines, averaged, largest_size, worst_pair
from nccli.charts.canvas import Canvas
from nccli.charts.card import empty_card, small_card, too_small
from nccli.charts.cells import ROOMY, Cells, Plan, plan_cells
from nccli.charts.diverging import Diverging
from nccli.charts.frame import draw_title, glyphs
from nccli.charts.lettering import clean, decimal, fit, short
from nccli.charts.palette import bold, ink
from nccli.charts.parts import Chart, Look

LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # ends of the colour scale
FINE = 0.1  # the end of a colour scale below which numbers have three decimals
LONGEST_BAR = 33
SHORTEST_BAR = 9


def heatmap(
    matrix: Any,
    *,
    title: str,
    width: int,
    height: int,
    labels: Sequence[object] | None = None,
    names: Sequence[str | None] = (),
    target: float | None = None,
    limit: float | None = None,
    difference: bool = False,
    look: Look = Look(),  # noqa: B008 - frozen
) -> Chart:
    """The (K, K) cosines of all pairs of classes, in [-1, 1]: blue below zero, orange above.

    `labels` are the class numbers (default 0 to K-1), `names` (K of them, or none) stand beside
    them where there is room. `target`, the ETF cosine -1/(K-1), is marked on the colour bar,
    whose ends are -`limit` and `limit`: by default the round number that holds all pairs, so
    give one to charts that are compared. Cells at least 5 columns wide hold their number (K <=
    20); more classes than fit are averaged in blocks, the diagonal left out. None and NaN are
    empty. `difference`: the matrix is that of two others, subtracted, and what has changed most is
    read out, where else it is the pair with the largest cosine. Without colours, and where cells
    are too narrow, a glyph tells the sign.
    Raises ValueError on a matrix that is not square, or labels or names of another length.
    """
    cosines_KK = as_cosines(matrix)
    numbers, known_names = _labels(labels, names, len(cosines_KK), look)
    worst = worst_pair(abs(cosines_KK) if difference else cosines_KK)
    if worst is not None and difference:
        worst = (*worst[:2], float(cosines_KK[worst[:2]]))
    words = _readouts(worst, numbers, known_names, difference=difference)
    if too_small(width, height):
        lines = [(words[-1], "")] if words else []
        return small_card(title, lines, width=width, height=height, look=look)
    reason = _why_empty(cosines_KK)
    if reason:
        return empty_card(title, reason, width=width, height=height, look=look)
    plan, row_labels = plan_cells(numbers, known_names, width, height)
    values_BB = averaged(cosines_KK, plan.cells.size)
    scale = Diverging(limit=limit or _limit(values_BB, target), look=look)
    canvas = Canvas(width, plan.bottom + 1 + plan.readout)
    draw_title(canvas, title, _notes(plan.cells), "", look)
    _draw_labels(canvas, plan, row_labels, numbers, look)
    _draw_cells(canvas, plan, values_BB, scale, worst if plan.cells.size == 1 else None)
    beyond = bool((abs(values_BB) > scale.limit).any())
    _draw_bar(canvas, plan, scale, target, beyond=beyond)
    if plan.readout and words:
        text = next((line for line in words if len(line) <= width), words[-1])
        canvas.put(0, plan.bottom + 1, fit(text, width, look))
    return canvas.chart()


# --- words ----------------------------------------------------------------------------------


def _labels(
    labels: Sequence[object] | None, names: Sequence[str | None], number: int, look: Look
) -> tuple[list[str], list[str]]:
    """Labels and names as harmless text; no names at all where none is known."""
    numbers = [clean(label, look) for label in (range(number) if labels is None else labels)]
    known = [clean(name or "", look) for name in names] if any(names) else []
    for what, given in (("labels", numbers), ("names", known)):
        if len(given) != number and (given or what == "labels"):
            raise ValueError(f"{what} must be one a row, {number}, got {len(given)}")
    return numbers, known


def _readouts(
    worst: tuple[int, int, float] | None,
    numbers: Sequence[str],
    names: Sequence[str],
    *,
    difference: bool,
) -> list[str]:
    """The extreme pair in words, the longest form first."""
    if worst is None:
        return []
    one, other, cosine = worst
    what = "largest change" if difference else "worst pair"
    sign = "+" if difference and cosine > 0 else ""
    pair = f"{what} {numbers[one]}-{numbers[other]}"
    value = f"{sign}{short(cosine)}" if difference else f"cos {decimal(cosine, 2)}"
    full = [f"{pair} ({names[one]}, {names[other]})  {value}"] if names else []
    return [*full, f"{pair}  {value}"]


def _why_empty(cosines_KK: Floats) -> str | None:
    if not len(cosines_KK):
        return "nothing to draw: no classes"
    return (
        None
        if cosines_KK[0, 0] == cosines_KK[0, 0] or (cosines_KK == cosines_KK).any()
        else "nothing to draw: no cosine is defined"
    )


def _notes(cells: Cells) -> list[str]:
    return [f"a cell: the mean of {cells.size}×{cells.size}"] if cells.size > 1 else []


def _limit(values_BB: Floats, target: float | None) -> float:
    """The end of the colour scale: the smallest round number that holds the pairs and the ETF."""
    most = max(largest_size(values_BB), abs(target or 0.0))
    return next((limit for limit in LIMITS if most <= limit), LIMITS[-1])


# --- drawing --------------------------------------------------------------------------------


def _draw_labels(
    canvas: Canvas, plan: Plan, row_labels: Sequence[str], numbers: Sequence[str], look: Look
) -> None:
    """Every row's label, and of the columns' (by first class) as many as keep a blank apart."""
    cells, style = plan.cells, ink(look, "axis")
    named = any(" " in label.strip() for label in row_labels)
    for at, label in enumerate(row_labels):
        text = fit(label, plan.left - 1, look)
        start = 0 if named else plan.left - 1 - len(text)
        canvas.put(start, plan.top + at * cells.high + (cells.high - 1) // 2, text, style)
    if plan.top < 2:
        return
    firsts = [fit(label, canvas.width // 3, look) for label in numbers[:: cells.size]]
    longest = max(map(len, firsts))
    stride = -(-(longest + 1) // cells.wide)
    for at in range(0, len(firsts), stride):
        start = plan.left + at * cells.wide + max(0, cells.wide - longest) // 2
        text = firsts[at].rjust(min(longest, cells.wide))
        if start + len(text) <= canvas.width:
            canvas.put(start, 1, text, style)


def _draw_cells(
    canvas: Canvas,
    plan: Plan,
    values_BB: Floats,
    scale: Diverging,
    worst: tuple[int, int, float] | None,
) -> None:
    """Colour, and number or glyph, of every cell; the number of the worst pair is bold."""
    cells, middle = plan.cells, (plan.cells.high - 1) // 2
    stands_out = {worst[:2], worst[1::-1]} if worst else set()
    drawn: dict[tuple[float, bool], tuple[str, str, str]] = {}  # many are alike, to two digits
    for row, values in enumerate(values_BB.tolist()):
        for column, value in enumerate(values):
            if value != value:  # NaN: left empty
                continue
            alike = (round(value / scale.limit, 3), row == column)
            if cells.numbered or alike not in drawn:
                inside = _inside(value, cells, scale, diagonal=row == column)
                drawn[alike] = (scale.style(value), *inside)
            style, fill, text = drawn[alike]
            for floor in range(cells.high):
                written = floor == middle or not cells.numbered
                heavy = (row, column) in stands_out and floor == middle
                canvas.put(
                    plan.left + column * cells.wide,
                    plan.top + row * cells.high + floor,
                    text if written else fill,
                    bold(style) if heavy else style,
                )


def _inside(value: float, cells: Cells, scale: Diverging, *, diagonal: bool) -> tuple[str, str]:
    """A cell's rows: those without and those with writing."""
    blank = " " * cells.wide
    if cells.numbered:
        return blank, _number(value, cells, scale).center(cells.wide)
    if diagonal and scale.look.colour and cells.size == 1:
        return blank, blank
    glyph = scale.glyph(value) * cells.wide
    return glyph, glyph


def _number(value: float, cells: Cells, scale: Diverging) -> str:
    """Two decimals, or three where the scale ends so low that two say nothing."""
    fine = scale.limit < FINE and cells.wide >= ROOMY
    number = decimal(value, 3 if fine else 2)
    # the numbers of neighbours must not touch
    return number.replace("0.", ".") if fine or cells.wide < ROOMY else number


def _draw_bar(
    canvas: Canvas, plan: Plan, scale: Diverging, target: float | None, *, beyond: bool
) -> None:
    """The colour scale with both ends and, marked on it, the ETF."""
    look, row = scale.look, plan.bottom
    low, high = f"{-scale.limit:g}", f"{scale.limit:g}"
    high = clean(f"≥{high}", look) if beyond else high  # the diagonal, as a rule
    mark = glyphs(look).up
    word = f"{mark} ETF {short(target)}" if target is not None else ""
    around = len(low) + len(high) + 2
    if around + len(word) + 2 + SHORTEST_BAR > canvas.width:
        word = ""
    length = min(LONGEST_BAR, canvas.width - around - (len(word) + 2 if word else 0))
    length -= 1 - length % 2  # odd: zero lies in the middle of a cell
    start = len(low) + 1
    canvas.put(0, row, low, ink(look, "axis"))
    for at in range(length):
        value = scale.limit * (2 * at / (length - 1) - 1)
        glyph = " " if plan.cells.numbered and look.colour else scale.glyph(value)
        canvas.put(start + at, row, glyph, scale.style(value))
    canvas.put(start + length + 1, row, high, ink(look, "axis"))
    canvas.put(start + length + 3 + len(high), row, word, ink(look, "note"))
    if target is not None:
        at = round((scale.place(target) + 1) / 2 * (length - 1))
        canvas.put(start + at, row, mark, bold(scale.style(target)))
