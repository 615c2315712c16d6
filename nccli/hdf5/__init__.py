"""The checkpoint file: format "nccli-checkpoint", version 1, in HDF5.

    /classifier/weight   (K, d) float        /classifier/bias  (K,) float, optional
    /SPLIT/features      (N, d) float        /SPLIT/labels     (N,) integer in 0..K-1
    /SPLIT/logits        (N, K) float, optional
    root attributes      format, format_version; all others may be absent

Everything is checked once, here; behind this package arrays are trusted. Files are opened by
another process (`nccli.reader.asking`), without a lock, read and closed, so that they never disturb
a run that is still writing, and never harm the process that asks. Only hard links to plain data
sets are followed: no soft or external link, no external storage, no virtual data set.
"""

from nccli.errors import locate_errors
from nccli.hdf5.listed import Found, Kind, Pairs, list_file
from nccli.hdf5.reading import (
    Described,
    array_at,
    checkpoint_of,
    computed_hash,
    describe,
    newer_minor,
    read_checkpoint,
)
from nccli.hdf5.writing import write_checkpoint
from nccli.identity import Identity

__all__ = [
    "Described",
    "Found",
    "Identity",
    "Kind",
    "Pairs",
    "array_at",
    "checkpoint_of",
    "computed_hash",
    "describe",
    "list_file",
    "locate_errors",
    "newer_minor",
    "read_checkpoint",
    "write_checkpoint",
]
