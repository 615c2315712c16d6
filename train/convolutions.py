"""How exactly a GPU convolves where features are collected."""

from __future__ import annotations

import contextlib

import torch


def convolutions_for(dtype: str) -> contextlib.AbstractContextManager[None]:
    """Convolve on a GPU as exactly as the features will be saved.

    The ten bits of TensorFloat-32 change features by 3e-4 of themselves, which would be
    within-class variability that the network does not have. Saving them as float16, of ten bits
    too, does so anyway, and a capture then takes a quarter of the time.
    """
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=dtype == "float16")
