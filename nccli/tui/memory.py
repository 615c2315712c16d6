"""What the next session starts with: the tab, the switches and the theme.

One small JSON file in the user's own folder for such things ($XDG_STATE_HOME, else
~/.local/state). Losing it costs nothing; one that is damaged or not ours is passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nccli.publish import publish_json

MOST_BYTES = 100_000  # our own file has some hundred


def memory_path(environment: Mapping[str, str]) -> Path | None:
    """Where it is kept; None where the user has no home."""
    folder = environment.get("XDG_STATE_HOME", "")
    if not folder.startswith("/"):  # the standard says: relative ones are to be ignored
        home = environment.get("HOME")
        folder = f"{home}/.local/state" if home else ""
    return Path(folder) / "nccli" / "view.json" if folder else None


class Memory:
    """What was remembered; `path` None remembers nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        found = _read(path) if path is not None else None
        found = found if isinstance(found, dict) else {}
        self.switches: Any = found.get("view")
        light = found.get("light")
        self.light: bool | None = light if isinstance(light, bool) else None

    def keep(self, switches: Mapping[str, Any], *, light: bool | None) -> None:
        """Write it down; a disk that does not let us is not worth a word."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            publish_json(self._path, {"view": dict(switches), "light": light})


def _read(path: Path) -> Any:
    try:
        # not blocking: a name that leads to a pipe must not keep the screen waiting
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            return json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
