"""What is shown while runs are trained: a bar on a terminal, one line a run elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nccli.cli import console
from nccli.text import visible

if TYPE_CHECKING:
    from train.config import Settings
    from train.events import Event, Outcome


@contextmanager
def progress_of(
    settings_list: list[Settings], name: Callable[[Settings], str]
) -> Iterator[tuple[Any, Any]]:
    """Yield (on_event, on_outcome): a bar on a terminal, one line a finished run elsewhere."""

    from train.events import ignore
    from train.place import is_follower

    if is_follower():  # the first process tells
        yield ignore, ignore
        return

    def tell(outcome: Outcome) -> None:
        what = outcome.ending if outcome.message is None else outcome.message
        prefix = "" if outcome.ending == "failed" else f"{outcome.path}: "
        if outcome.ending != "interrupted":
            console.say(f"nccli: {visible(prefix + what)}")

    if not sys.stderr.isatty():
        yield _warn, tell
        return
    with console.progress() as bar:
        task = bar.add_task("epochs", total=sum(s.epochs for s in settings_list))
        done: dict[str, int] = {}
        lengths = {name(settings): settings.epochs for settings in settings_list}

        def move(event: Event) -> None:
            _warn(event)
            done[event.run] = event.epoch
            bar.update(task, completed=sum(done.values()))

        def finish(outcome: Outcome) -> None:
            tell(outcome)
            if outcome.ending != "interrupted":  # a failed run has no epochs to come either
                done[outcome.path.name] = lengths[outcome.path.name]
                bar.update(task, completed=sum(done.values()))

        yield move, finish


def _warn(event: Event) -> None:
    if event.warning is not None:
        console.say(f"nccli: {visible(event.warning)}")
