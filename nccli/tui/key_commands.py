"""The command palette: every action of the one table of keys, by what it means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Provider

from nccli.tui.keys import KEYS, Key
from nccli.tui.view import TABS

SCOPES = ("screen", "chart", "runs")


def commands() -> Iterator[tuple[str, str, Key]]:
    """Name and action of everything the palette offers, with its line of the table."""
    for line in KEYS:
        if line.scope not in SCOPES or line.action == "app.command_palette":
            continue
        if "{key}" in line.action:
            for key, tab in zip(line.keys, TABS, strict=True):
                yield f"{tab.capitalize()} tab  ({key})", line.action.format(key=key), line
        else:
            yield f"{line.word}: {line.means}  ({line.cap})", line.action, line


class KeyCommands(Provider):
    """Offers what does something here and now."""

    async def discover(self) -> AsyncIterator[Any]:
        """Everything, before a letter is typed."""
        for name, action in self._offered():
            yield DiscoveryHit(name, partial(self._do, action))

    async def search(self, query: str) -> AsyncIterator[Any]:
        """What matches the letters."""
        matcher = self.matcher(query)
        for name, action in self._offered():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), partial(self._do, action))

    def _offered(self) -> list[tuple[str, str]]:
        relevant: Any = getattr(self.screen, "relevant", None)
        if relevant is None:  # over a window no action of the screen beneath makes sense
            return []
        return [(name, action) for name, action, line in commands() if relevant(line)]

    async def _do(self, action: str) -> None:
        await self.app.run_action(action, self.app.screen)
