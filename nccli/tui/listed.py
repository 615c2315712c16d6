"""What tables and lists share: content made once a change, a cursor, a first row in view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from nccli.tui.painted import Painted
from nccli.tui.state import State

Content = TypeVar("Content")


class Listed(Painted, Generic[Content]):
    """Rows of which one can be in focus."""

    def __init__(self, state: State, source: Callable[[], Content], **options: Any) -> None:
        super().__init__(state, **options)
        self._source = source
        self._content: Content | None = None
        self.row = 0
        self.active = False  # whether the cursor is in it
        self._first = 0  # the first row in view

    @property
    def content(self) -> Content:
        """What it shows, computed once for each change of the state."""
        if self._content is None:
            self._content = self._source()
        return self._content

    def renew(self) -> None:
        """Compute and draw again."""
        self._content = None
        super().renew()
