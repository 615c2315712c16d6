"""The data sets, each as its parts: images and labels."""

from train.data.images import Images, Part
from train.data.loading import load_data

__all__ = ["Images", "Part", "load_data"]
