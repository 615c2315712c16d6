"""The terminal UI over runs: `run` on a terminal, `screenshot` as SVG without one."""

from __future__ import annotations

import asyncio
import gc
import os
import re
from collections.abc import Sequence
from pathlib import Path

from nccli.errors import UsageError
from nccli.publish import publish_bytes
from nccli.tui.app import ViewApp
from nccli.tui.measuring import Measurer
from nccli.tui.memory import Memory, memory_path
from nccli.tui.start import USUAL, Start, read_levels

__all__ = ["Start", "read_levels", "run", "screenshot"]

_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}\s*")
QUIET_GARBAGE = (50_000, 50, 1_000)  # allocations, and generations, between collections
_MOST_SECONDS = 600  # for measuring everything that a screenshot shows; our own limit


def run(paths: Sequence[Path], start: Start = USUAL) -> int:
    """Open the terminal UI; return its exit code when the user quits, or a signal ends it.

    Raises UsageError on what no session has.
    """
    app = ViewApp(
        paths,
        start=start,
        measurer=Measurer(apart=True, cached=True),
        memory=Memory(memory_path(os.environ)),
    )
    # A full collection goes through the results of every checkpoint: with five hundred of them a
    # tenth of a second, under the user's keys. They are kept anyway.
    gc.set_threshold(*QUIET_GARBAGE)
    app.run()
    return app.return_code or 0


def screenshot(
    paths: Sequence[Path],
    start: Start = USUAL,
    *,
    size: tuple[int, int],
    press: Sequence[str] = (),
    out: Path,
) -> None:
    """Write one frame as SVG: everything measured, then the keys pressed.

    The SVG refers to nothing outside itself, and what an earlier session chose plays no part.
    Raises UsageError where it would show nothing yet after ten minutes, or on what no session has.
    """
    app = ViewApp(paths, start=start, measurer=Measurer(cached=True))
    publish_bytes(out, asyncio.run(_frame(app, size, press)).encode())


async def _frame(app: ViewApp, size: tuple[int, int], press: Sequence[str]) -> str:
    async with app.run_test(size=size) as pilot:
        await _wait(app)
        for key in press:
            await pilot.press(key)
            await pilot.pause()
            await _wait(app)
        await pilot.pause()
        return _FONT_FACE.sub("", app.export_screenshot(title="nccli view"))


async def _wait(app: ViewApp) -> None:
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            while not app.idle and app.return_code is None:  # an app that ended tells why
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise UsageError(
            "not everything is measured after ten minutes",
            remedy="run nccli view once: what it has measured is kept",
        ) from None
