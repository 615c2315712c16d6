"""The .safetensors format: eight bytes of length, JSON, numbers. Read here for bfloat16.

Source: the format's specification (github.com/huggingface/safetensors). The package's own NumPy
reader knows no bfloat16 and maps nothing; the whole of the format is a header.
"""

from __future__ import annotations

import json
import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.errors import FormatError
from nccli.importing.entry import Entry

MOST_HEADER_BYTES = 100_000_000  # the specification's own limit
TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "|b1",
}  # fmt: skip


def read_safetensors(path: Path) -> dict[str, Entry]:
    """Return the tensors by their names. Raises FormatError on a header that does not add up."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > min(MOST_HEADER_BYTES, size - 8):
            raise _wrong("its header is longer than the file")
        text = file.read(length)
    try:
        header = json.loads(text)
        tensors = {name: one for name, one in header.items() if name != "__metadata__"}
        found = {name: _entry(path, name, one, 8 + length, size) for name, one in tensors.items()}
        spans = sorted(one["data_offsets"] for one in tensors.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _wrong(f"its header cannot be read: {error!r}"[:200]) from None
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        raise _wrong("two tensors overlap")
    return found


def _entry(path: Path, name: str, told: dict[str, Any], start: int, size: int) -> Entry:
    kind, shape, (begin, end) = told["dtype"], tuple(told["shape"]), told["data_offsets"]
    whole = [*shape, begin, end]
    if any(not isinstance(one, int) or isinstance(one, bool) or one < 0 for one in whole):
        raise _wrong(f"'{name}' has a shape or place that is no number")
    if kind not in TYPES:
        raise _wrong(f"'{name}' is of type {str(kind)[:20]!r}, which is not read")
    dtype = np.dtype(TYPES[kind])
    if begin + math.prod(shape) * dtype.itemsize != end or start + end > size:
        raise _wrong(f"'{name}' does not fit its place in the file")

    def load() -> NDArray[Any]:
        if 0 in shape:
            return np.empty(shape, dtype)
        found: NDArray[Any] = np.memmap(path, dtype, "r", start + begin, shape or (1,))
        return widened(found) if kind == "BF16" else found

    return Entry(shape=shape, dtype="bfloat16" if kind == "BF16" else str(dtype), load=load)


def widened(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Return the float32 of bfloat16 bits: the same sign, exponent, leading fraction."""
    return (bits.view("<u2").astype("<u4") << 16).view("<f4")


def _wrong(what: str) -> FormatError:
    return FormatError(f"no sound .safetensors file: {what}", remedy="copy it again, or save again")
