"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def near(path: Path) -> str:
    """A path from here, if that is shorter; as it is, where there is no current directory."""
    try:
        relative = os.path.relpath(path)
    except OSError:
        return str(path)
    shorter = relative if len(relative) < len(str(path)) else str(path)
    return f"./{shorter}" if shorter.startswith("-") else shorter  # no option of a command
