"""One array of a file: what it is, and how to get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name's array before it is loaded."""

    shape: tuple[int, ...]
    dtype: str  # NumPy's name, or "bfloat16"
    load: Callable[[], NDArray[Any]]

    @property
    def described(self) -> str:
        """Shape and type in a few characters: `(100, 5) float32`."""
        return f"({', '.join(map(str, self.shape))}) {self.dtype}"
