"""Which epochs are saved, and the words that name them."""

from __future__ import annotations

import numpy as np

from nccli.errors import UsageError

LOG_EPOCHS = 12  # saved epochs by default: enough for a smooth curve over log(epoch)
PAPER_STEP = 10  # the paper measures at epochs 5, 10, 20, ... to the last


def parse_save_epochs(text: str, *, epochs: int) -> tuple[int, ...]:
    """Return the epochs that a word names, ascending; raises UsageError.

    `log` (about 12, evenly spaced in the logarithm, and the last), `log:20`, `every:10` (and the
    last), `paper` (5, 10, 20, 30 ... and the last), or a list: `1,5,10`.
    """
    kind, _, number = text.strip().partition(":")
    try:
        if kind == "paper" and not number:
            listed = {5, *range(PAPER_STEP, epochs + 1, PAPER_STEP), epochs}
            return tuple(sorted(epoch for epoch in listed if epoch <= epochs))
        if kind == "log":
            return log_epochs(epochs, count=_positive(number) if number else LOG_EPOCHS)
        if kind == "every":
            step = _positive(number)
            return tuple(sorted({*range(step, epochs + 1, step), epochs}))
        return tuple(sorted({_positive(word) for word in text.split(",")}))
    except ValueError:
        raise UsageError(
            f"cannot read the epochs to save '{text}'",
            remedy="write log, log:20, every:10, paper or a list like 1,5,10",
        ) from None


def log_epochs(epochs: int, *, count: int) -> tuple[int, ...]:
    """Return about `count` epochs from 1 to the last, evenly spaced in their logarithm."""
    spaced = np.geomspace(1, epochs, num=max(count, 1))
    return tuple(sorted({round(float(epoch)) for epoch in spaced} | {epochs}))


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise ValueError(word)
    return value
