"""The words with which `train` and `sweep` name losses, seeds and numbers."""

from __future__ import annotations

from nccli.errors import UsageError

LOSSES = {"ce": "cross-entropy", "ls": "label-smoothing"}  # focal and mse have no longer names


def loss_list(losses: str, smoothings: str) -> list[tuple[str, float]]:
    """Return (loss, smoothing) of each run that `ce,ls` and `0.05,0.1` ask for."""
    from train.checks import LOSSES as KNOWN
    from train.words import check_choice

    found: list[tuple[str, float]] = []
    for word in losses.split(","):
        name = LOSSES.get(word.strip(), word.strip())
        if name not in KNOWN:
            check_choice("loss", word.strip(), (*LOSSES, *KNOWN[2:]))
        deltas = numbers("smoothing", smoothings) if name == "label-smoothing" else [0.0]
        found += [(name, delta) for delta in deltas]
    return found


def seed_list(text: str) -> list[int]:
    """Return the seeds that `0,1,2` or `0-2` name."""
    seeds: list[int] = []
    try:
        for word in text.split(","):
            first, _, last = word.strip().partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = []
    if not seeds:
        raise UsageError(f"cannot read the seeds '{text}'", remedy="write 0,1,2 or 0-2")
    return seeds


def numbers(noun: str, text: str) -> list[float]:
    """Return the numbers of a list like `0.05,0.1`."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(
            f"cannot read the {noun} '{text}'", remedy="write numbers with commas: 0.05,0.1"
        ) from None
