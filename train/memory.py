"""Memory: that of the C library, which is asked for again with every step, and where it ends."""

from __future__ import annotations

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_MOST = 2**31 - 1
_WORDS = ("out of memory", "alloc_failed", "allocate memory")  # CUDA, cuBLAS and cuDNN, the CPU


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory was short, of the CPU or of a GPU: not all who say so have one class."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def keep_freed_memory() -> None:
    """Have malloc keep large blocks that are freed, not give them back to the kernel each time.

    By default glibc maps blocks of 32 MiB and more anew, and the kernel clears every page of them
    again: a tenth to a third of the time of a convolutional network on the CPU. Elsewhere than on
    Linux, and with another C library, it does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**30)
    mallopt(_TRIM_THRESHOLD, _MOST)
