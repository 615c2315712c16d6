"""Settings of runs that take a moment; free of torch, for the parent of a pool."""

from __future__ import annotations

from train.config import Settings


def tiny(**changes) -> Settings:
    """A run of four epochs of a network with 12 features."""
    options = {"width": 12, "depth": 2, "epochs": 4, "batch_size": 250, "save_epochs": (1, 3, 4)}
    return Settings(**options | changes)
