"""`nccli extract`: any saved network over any images, its penultimate features to a checkpoint."""

from train.extract.extracting import Request, extract

__all__ = ["Request", "extract"]
