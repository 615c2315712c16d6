"""What stands in for a picture when there is no room for one, or nothing to draw."""

from collections.abc import Sequence

from nccli.charts.canvas import Canvas
from nccli.charts.lettering import fit
from nccli.charts.palette import ink
from nccli.charts.parts import Chart, Look

SMALLEST_WIDTH = 20
SMALLEST_HEIGHT = 5

Line = tuple[str, str]  # text, style


def too_small(width: int, height: int) -> bool:
    """Whether a chart would have no room left for its plot."""
    return width < SMALLEST_WIDTH or height < SMALLEST_HEIGHT


def small_card(title: str, lines: Sequence[Line], *, width: int, height: int, look: Look) -> Chart:
    """Title and last values as text, as far as they fit, above a dim "too small"."""
    need = f"too small: needs {SMALLEST_WIDTH}x{SMALLEST_HEIGHT}"
    words = need if len(need) <= width else "too small"
    return _card(title, lines, words, width=width, height=height, look=look)


def empty_card(title: str, reason: str, *, width: int, height: int, look: Look) -> Chart:
    """The title and, dim and in the middle, why there is no picture."""
    canvas = Canvas(width, height)
    canvas.put(0, 0, fit(title, width, look), ink(look, "title"))
    words = fit(reason, width, look)
    canvas.put((width - len(words)) // 2, height // 2, words, ink(look, "note"))
    return canvas.chart()


def _card(
    title: str, lines: Sequence[Line], words: str, *, width: int, height: int, look: Look
) -> Chart:
    room = max(0, height)
    body = [(title, ink(look, "title")), *lines][: max(0, room - 1)]
    canvas = Canvas(width, min(room, len(body) + 1))
    for row, (text, style) in enumerate([*body, (words, ink(look, "note"))]):
        canvas.put(0, row, fit(text, width, look), style)
    return canvas.chart()
