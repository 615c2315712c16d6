"""The C library's memory: activations are freed and asked for again with every step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_MOST = 2**31 - 1


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
