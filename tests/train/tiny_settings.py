"""Settings of runs that take a moment; free of torch, for the parent of a pool."""

from __future__ import annotations

from train.config import Settings


def tiny(**changes) -> Settings:
    """A run of four epochs of a network with 12 features."""
    depth = 6 if changes.get("model") == "resnet" else 2
    options = {"width": 12, "depth": depth, "epochs": 4, "batch_size": 250}
    options["save_epochs"] = (1, 3, 4)
    return Settings(**options | changes)
