"""Small runs on disk for the tests of the terminal UI: features that collapse over the epochs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable as Function
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from textual.events import Callback, Key
from textual.message_pump import MessagePump
from textual.pilot import Pilot

from nccli.checkpoint import Metadata
from nccli.hdf5 import write_checkpoint
from nccli.runs import checkpoint_path, write_run_file
from nccli.tui.app import ViewApp
from nccli.tui.painted import Painted
from nccli.tui.start import Start

CLASSES, DIM, PER_CLASS = 3, 5, 12
EPOCHS = (1, 2, 4, 8)
NAMES = {
    "[": "left_square_bracket",
    "/": "slash",
    "?": "question_mark",
    "+": "plus",
    "-": "minus",
    ":": "colon",
}


def save(
    run: Path,
    epoch: int,
    *,
    delta: float = 0.0,
    seed: int = 0,
    classifier: bool = True,
    splits: Sequence[str] = ("train", "test"),
) -> Path:
    """Publish one checkpoint: class means on a simplex, noise that falls with the epoch."""
    rng = np.random.default_rng((seed, epoch))
    means = 3 * np.eye(CLASSES, DIM)
    noise = (0.3 if delta else 0.6) / epoch
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    arrays = {
        name: (means[labels] + noise * rng.standard_normal((len(labels), DIM)), labels)
        for name in splits
    }
    path = checkpoint_path(run, epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(
        path,
        splits=arrays,
        weight=means + 0.05 * rng.standard_normal(means.shape) if classifier else None,
        metadata=Metadata(
            loss="label-smoothing" if delta else "cross-entropy",
            label_smoothing=delta,
            epoch=epoch,
            seed=seed,
            weight_decay=5e-3,
        ),
    )
    return path


def make_run(
    run: Path,
    *,
    epochs: Sequence[int] = EPOCHS,
    delta: float = 0.0,
    seed: int = 0,
    status: str = "finished",
    **options: Any,
) -> Path:
    """A run directory with run.json and its checkpoints."""
    run.mkdir(parents=True)
    loss = "label-smoothing" if delta else "cross-entropy"
    settings = {"loss": loss, "label_smoothing": delta, "seed": seed}
    write_run_file(run, {"status": status, "settings": settings})
    for epoch in epochs:
        save(run, epoch, delta=delta, seed=seed, **options)
    return run


def make_pair(folder: Path, *, seeds: Sequence[int] = (0,), **options: Any) -> Path:
    """Cross-entropy and label smoothing, a run a seed each."""
    for seed in seeds:
        make_run(folder / f"ce-s{seed}", seed=seed, **options)
        make_run(folder / f"ls0.05-s{seed}", delta=0.05, seed=seed, **options)
    return folder


# --- driving ------------------------------------------------------------------------------------


class Driver:
    """The app in a session of keys."""

    def __init__(self, app: ViewApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.state = app.session
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until each is done with."""
        for key in keys:
            await self.tap(key)
        await self._pilot.pause()

    async def tap(self, key: str) -> None:
        """Press a key and wait for its handlers (much faster than Textual's pilot)."""
        character = key if len(key) == 1 else None
        self.app.post_message(Key(NAMES.get(key, key), character))
        await _handled(self.app)
        focused = self.app.screen.focused or self.app.screen
        for pump in [
            focused,
            *focused.ancestors,
        ]:  # a key climbs up to the app, which has its meaning
            await _handled(pump)

    async def until(self, condition: Function[[], bool], *, seconds: float = 120) -> None:
        """Wait for a condition; never longer than it takes."""
        async with asyncio.timeout(seconds):
            while not condition():
                assert self.app.return_code is None, "the app has ended"
                await asyncio.sleep(0.005)
        await self._pilot.pause()

    async def sees(self, *words: str) -> None:
        """Wait until all the words are on the screen."""
        try:
            await self.until(lambda: all(word in self.text for word in words), seconds=120)
        except TimeoutError:
            raise AssertionError(f"{words} not in\n{self.text}") from None

    async def click(self, words: str) -> None:
        """Click where the words stand on the screen."""
        for widget in self.app.screen.query(Painted):
            for y, line in enumerate(widget.plain().split("\n")):
                if words in line and widget.is_on_screen and widget.size:
                    origin = widget.content_region.offset
                    await self._pilot.click(offset=(origin.x + line.index(words), origin.y + y))
                    return
        raise AssertionError(f"{words} not on the screen")

    async def resize(self, width: int, height: int) -> None:
        """Make the terminal larger or smaller."""
        await self._pilot.resize_terminal(width, height)

    @property
    def text(self) -> str:
        """Everything that is on the screen."""
        shown = [
            widget
            for widget in self.app.screen.query(Painted)
            if widget.size and widget.is_on_screen and widget.display
        ]
        return "\n".join(widget.plain() for widget in shown)

    def stale(self) -> list[str]:
        """What the terminal would show other than what its widget has drawn last."""
        strips = self.app.screen._compositor.render_strips()
        found = []
        for widget in self.app.screen.query(Painted):
            region = widget.content_region
            if not (widget.size and widget.is_on_screen and widget.display):
                continue
            for y, line in enumerate(widget.plain().split("\n")[: region.height]):
                seen = strips[region.y + y].crop(region.x, region.right).text.rstrip()
                if seen != line.rstrip():
                    found.append(f"{type(widget).__name__} {y}: {seen!r}, not {line!r}")
        return found

    @property
    def charts(self) -> list[str]:
        """The pictures of the open tab, visible or not."""
        return [chart.plain() for chart in self.app.main.pane.charts]


async def _handled(pump: MessagePump) -> None:
    done = asyncio.Event()
    if pump.post_message(Callback(done.set)):
        async with asyncio.timeout(5):
            await done.wait()


Session = Function[[Driver], Coroutine[Any, Any, None]]


def drive(
    paths: Sequence[Path] | Path,
    session: Session,
    *,
    size: tuple[int, int] = (140, 44),
    settled: bool = True,
    **options: Any,
) -> ViewApp:
    """Run the app without a terminal through a session of keys, from when all is measured."""
    named = {name: options.pop(name) for name in ("tab", "chosen", "epoch") if name in options}
    options = {"start": Start(**named)} | options
    app = ViewApp([paths] if isinstance(paths, Path) else paths, **options)

    async def go() -> None:
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            if settled:
                await driver.until(lambda: app.idle)
            await session(driver)

    asyncio.run(go())
    return app
