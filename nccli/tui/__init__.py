"""The terminal UI over runs: `run` on a terminal, `screenshot` as SVG without one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from nccli.errors import UsageError
from nccli.publish import publish_bytes
from nccli.tui.app import ViewApp
from nccli.tui.state import TABS

__all__ = ["run", "screenshot"]

_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}\s*")
_MOST_SECONDS = 600  # for measuring everything that a screenshot shows; our own limit


def run(paths: Sequence[Path], *, tab: str | None = None) -> None:
    """Open the terminal UI and return when the user quits; raises UsageError on an unknown tab."""
    ViewApp(paths, tab=_known(tab)).run()


def screenshot(
    paths: Sequence[Path], *, size: tuple[int, int], press: Sequence[str] = (), out: Path
) -> None:
    """Write one frame as SVG: everything measured, then the keys pressed.

    The SVG refers to nothing outside itself. Raises UsageError where it would show nothing yet
    after ten minutes.
    """
    publish_bytes(out, asyncio.run(_frame(paths, size, press)).encode())


async def _frame(paths: Sequence[Path], size: tuple[int, int], press: Sequence[str]) -> str:
    app = ViewApp(paths)
    async with app.run_test(size=size) as pilot:
        await _wait(app)
        for key in press:
            await pilot.press(key)
            await _wait(app)
        await pilot.pause()
        return _FONT_FACE.sub("", app.export_screenshot(title="nccli view"))


async def _wait(app: ViewApp) -> None:
    async with asyncio.timeout(_MOST_SECONDS):
        while not app.idle and app.return_code is None:  # an app that ended tells why at its exit
            await asyncio.sleep(0.02)


def _known(tab: str | None) -> str | None:
    if tab is not None and tab not in TABS:
        raise UsageError(f"unknown tab '{tab}'", remedy=f"try one of: {', '.join(TABS)}")
    return tab
