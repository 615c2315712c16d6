"""What a checkpoint says of its origin, checked before it is written: as it will be read."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Metadata
from nccli.errors import ContentError
from nccli.reader.format import FORMAT, FORMAT_MAJOR, FORMAT_MINOR

NUMBERS = ("label_smoothing", "weight_decay", "feature_decay")
INTEGERS = ("epoch", "seed")
LARGEST = 2**63  # an attribute is an int64


def as_written(metadata: Metadata) -> Metadata:
    """Return metadata of plain Python types. Raises ContentError on what no reader would take."""
    said = {
        name: _checked(name, value)
        for name, value in dataclasses.asdict(metadata).items()
        if value is not None
    }
    return Metadata(**said)


def _checked(name: str, value: Any) -> Any:
    if name in NUMBERS:
        return _number(name, value)
    if name in INTEGERS:
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise ContentError(f"{name} must be an integer, got {value!r}")
        if not -LARGEST <= int(value) < LARGEST:
            raise ContentError(f"{name} must fit 64 bits, got {value!r}")
        return int(value)
    if name == "class_names":
        return tuple(_text(name, one) for one in value)
    return _text(name, value)


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf or (name == "label_smoothing" and number >= 1):
        bounds = "in [0, 1)" if name == "label_smoothing" else "finite and not negative"
        raise ContentError(f"{name} must be {bounds}, got {value!r}")
    return number


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ContentError(f"{name} must be text, got {value!r}")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise ContentError(f"{name} must be text that UTF-8 can hold, got {value!r}") from None
    if b"\0" in encoded:
        raise ContentError(f"{name} must not hold NUL characters, got {value!r}")
    return value


# --- as root attributes ---------------------------------------------------------------------------


def as_attributes(metadata: Metadata, content_sha256: str | None = None) -> dict[str, Any]:
    """Return what is written as root attributes; texts have a fixed length."""
    head = {"format": FORMAT, "format_version": FORMAT_MAJOR, "format_minor": FORMAT_MINOR}
    said = dataclasses.asdict(metadata) | {"content_sha256": content_sha256}
    return {
        name: _fixed_length(value) for name, value in (head | said).items() if value is not None
    }


def _fixed_length(value: Any) -> Any:
    if isinstance(value, str):
        return _texts(value.encode())
    if isinstance(value, tuple):
        return _texts([name.encode() for name in value])
    return value


def _texts(encoded: bytes | list[bytes]) -> NDArray[Any]:
    """An array that h5py writes as UTF-8 of a fixed length."""
    import h5py  # readers do without

    longest = len(encoded) if isinstance(encoded, bytes) else max(map(len, encoded), default=1)
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", longest or 1))
