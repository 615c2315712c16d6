"""How figures look: lines, markers, fonts, and matplotlib without the user's own settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nccli.charts.palette import LIGHT
from nccli.text import visible

LONGEST = 40  # characters of a name in the legend

# Shapes and order of nccli.charts.palette.MARKERS; from HOLLOW on they are not filled.
MARKERS = "o^sDPo^s"
HOLLOW = 5
Dashes = str | tuple[float, tuple[float, ...]]
DASHES: tuple[Dashes, ...] = ("-", (0, (3.5, 1.6)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))
GREY = "#555555"

STYLE_FILE = Path(__file__).with_name("nccli.mplstyle")  # `nccli figure --style` prints it
METADATA: Mapping[str, dict[str, Any]] = {  # no dates: the same results, the same bytes
    "pdf": {"Creator": "nccli", "CreationDate": None},
    "svg": {"Creator": "nccli", "Date": None},
    "png": {"Software": "nccli"},
}


@contextmanager
def matplotlib_ready() -> Iterator[None]:
    """Have matplotlib in our style, silent about its caches; all as it was afterwards."""
    loggers = [logging.getLogger(name) for name in ("matplotlib", "fontTools")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)  # it warns of a home folder that cannot be written
    try:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()  # not what the user's matplotlibrc says
            matplotlib.rcParams.update(
                matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=False)
            )
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def pen(kind: int) -> dict[str, Any]:
    """Colour, marker and line of a series; as in the terminal, both repeat together."""
    kind %= len(LIGHT)
    colour = LIGHT[kind]
    inner, edge = ("white", colour) if kind >= HOLLOW else (colour, "white")
    line = {"color": colour, "lw": 1.2, "marker": MARKERS[kind], "ms": 3.6}
    return line | {"mfc": inner, "mec": edge, "mew": 0.5}


def printable(text: str) -> str:
    """Text from a file as the font can show it: cut to length, what has no glyph as its escape."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    glyph = get_font(findfont(FontProperties())).get_char_index
    shown = visible(text)
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    return "".join(c if glyph(ord(c)) else c.encode("unicode_escape").decode() for c in shown)
