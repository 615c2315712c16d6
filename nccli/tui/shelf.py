"""What was read of files for the tab in view: the latest, within a budget of memory."""

from __future__ import annotations

from collections.abc import Container, Hashable

from nccli.tui.findings import Angles, Outcome

MOST_BYTES = 32 * 2**20  # of cosines; a thousand classes take 8 MB a file
MOST_THINGS = 200


class Shelf:
    """A dictionary that forgets what was not asked for longest."""

    def __init__(self) -> None:
        self._things: dict[Hashable, Outcome] = {}

    def put(self, key: Hashable, outcome: Outcome, *, wanted: Container[Hashable] = ()) -> None:
        """Keep something. Where there is no room older things go, but never what is wanted now:

        it would be read again at once, and again.
        """
        self._things.pop(key, None)
        self._things[key] = outcome
        for old in [one for one in self._things if one != key and one not in wanted]:
            if self._fits():
                return
            del self._things[old]

    def get(self, key: Hashable) -> Outcome | None:
        """What was kept; it is the latest from now on."""
        if key not in self._things:
            return None
        self._things[key] = self._things.pop(key)
        return self._things[key]

    def _fits(self) -> bool:
        size = sum(_bytes(one) for one in self._things.values())
        return len(self._things) <= MOST_THINGS and size <= MOST_BYTES


def _bytes(outcome: Outcome) -> int:
    if not isinstance(outcome, Angles):
        return 0
    return sum(one.nbytes for one in (outcome.means, outcome.classifier) if one is not None)
