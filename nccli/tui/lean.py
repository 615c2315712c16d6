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
_COLOURS = re.compile(r"\x1b\[(38;2;\d+;\d+;\d+);(48;2;\d+;\d+;\d+)m")


def lean(text: str) -> str:
    """The same cells in fewer bytes: only colours that change, where nothing else is set."""
    found: list[str] = []
    colours: tuple[str, ...] | None = None  # in force, and nothing else is
    clean = False  # a reset was sent, and nothing since
    held = False  # a reset is held back: the next piece may make it needless
    for piece in _PIECES.split(text):
        match = _COLOURS.fullmatch(piece)
        if piece == RESET and colours is not None:
            held = True
            continue
        if held and match and colours is not None:
            found.append(_change(colours, match.groups()))
            colours, held = match.groups(), False
            continue
        if held and piece:
            found.append(RESET)
            colours, clean, held = None, True, False
        found.append(piece)
        if _PIECES.fullmatch(piece):
            colours = match.groups() if match and clean else None
            clean = piece == RESET
    return "".join([*found, RESET] if held else found)


def _change(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    changed = [after for after, before in zip(new, old, strict=True) if after != before]
    return f"\x1b[{';'.join(changed)}m" if changed else ""


def lean_driver(driver: type[Driver]) -> type[Driver]:
    """The platform's driver, writing leanly."""

    class LeanDriver(driver):  # type: ignore[valid-type, misc]
        def write(self, data: str) -> Any:
            return super().write(lean(data))

    return LeanDriver
