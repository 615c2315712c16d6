"""Fewer bytes for the same picture: a colour is sent where it changes, not with every piece.

Textual ends each piece of a row with a reset and starts the next with both its colours, 37 bytes
for what is often one glyph. Over SSH a step of the epoch cursor then costs three times as much.
"""

from __future__ import annotations

import re
from typing import Any

from textual.driver import Driver

RESET = "\x1b[0m"
_PIECES = re.compile(r"(\x1b\[[0-9;]*m)")
_COLOURS = re.compile(r"\x1b\[(1;)?(38;2;\d+;\d+;\d+);(48;2;\d+;\d+;\d+)m")
_BLANKS = re.compile(r" +")

Style = tuple[str | None, str, str]  # bold or None, colour, background


def lean(text: str) -> str:
    """The same cells in fewer bytes: only what changes, where nothing but these is set."""
    found: list[str] = []
    style: Style | None = None  # in force, and nothing else is
    meant: Style | None = None  # what should be: under blanks it need not be
    clean = False  # a reset was sent, and nothing since
    held = False  # a reset is held back: the next piece may make it needless
    pieces = _PIECES.split(text)
    for place, piece in enumerate(pieces):
        match = _COLOURS.fullmatch(piece)
        if piece == RESET and style is not None:
            held = True
            continue
        if held and match and style is not None:
            meant = _style(match)
            wanted = _under(style, meant) if _BLANKS.fullmatch(pieces[place + 1]) else meant
            found.append(_change(style, wanted))
            style, held = wanted, False
            continue
        if held and piece:
            found.append(RESET)
            style, clean, held = None, True, False
        if _PIECES.fullmatch(piece):
            found.append(_made_good(style, meant))
            style = meant = _style(match) if match and clean else None
            clean = piece == RESET
        found.append(piece)
    return "".join([*found, RESET if held else _made_good(style, meant)])


def _style(match: re.Match[str]) -> Style:
    return match[1], match[2], match[3]


def _under(old: Style, new: Style) -> Style:
    """The style of blanks: they show nothing but their background, so that alone changes."""
    return old[0], old[1], new[2]


def _made_good(style: Style | None, meant: Style | None) -> str:
    """What blanks did not need, before anything that does."""
    return "" if style is None or meant is None else _change(style, meant)


def _change(old: Style, new: Style) -> str:
    bold = [] if old[0] == new[0] else ["1" if new[0] else "22"]
    colours = [after for after, before in zip(new[1:], old[1:], strict=True) if after != before]
    codes = ";".join([*bold, *(one for one in colours if one is not None)])
    return f"\x1b[{codes}m" if codes else ""


def lean_driver(driver: type[Driver]) -> type[Driver]:
    """The platform's driver, writing leanly."""

    class LeanDriver(driver):  # type: ignore[valid-type, misc]
        def write(self, data: str) -> Any:
            return super().write(lean(data))

    return LeanDriver
