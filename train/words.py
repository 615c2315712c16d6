"""Choices by name: what is said of a word that is none of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from nccli.errors import UsageError


def nearest(word: str, choices: Sequence[str]) -> str:
    """Return the remedy for an unknown word: the nearest choice, and all of them."""
    near = difflib.get_close_matches(word, choices, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    return f"{guess}choose one of: {', '.join(choices)}"


def check_choice(noun: str, word: str, choices: Sequence[str]) -> None:
    """Raise UsageError listing the choices, and the nearest one, unless `word` is among them."""
    if word not in choices:
        raise UsageError(f"unknown {noun} '{word}'", remedy=nearest(word, choices))
