"""The root attributes of a checkpoint file: format, version, and what it says of its origin."""

from __future__ import annotations

import dataclasses
from typing import Any

import h5py
import numpy as np

from nccli.checkpoint import Metadata
from nccli.errors import FormatError

FORMAT = "nccli-checkpoint"
FORMAT_VERSION = 1

_TEXT_ATTRIBUTES = ("loss", "dataset", "architecture", "created", "software")
_INTEGER_ATTRIBUTES = ("epoch", "seed")
_NUMBER_ATTRIBUTES = ("label_smoothing", "weight_decay", "feature_decay")


def check_format(file: h5py.File) -> None:
    """Raise FormatError unless the file says that it is a checkpoint of a version we read."""
    found = _attribute(file, "format")
    if found is None:
        raise FormatError(
            "an HDF5 file, but not an nccli checkpoint (no root attribute 'format')",
            remedy="write it with nccli.hdf5.write_checkpoint, or set format='nccli-checkpoint' "
            "and format_version=1 if it has that layout",
        )
    if _text(found) != FORMAT:
        raise FormatError(
            f"root attribute 'format' is '{_text(found)}', expected '{FORMAT}'",
            remedy="give a checkpoint written by nccli",
        )
    version = _attribute(file, "format_version")
    if not _is_integer(version):
        raise FormatError(
            f"root attribute 'format_version' must be an integer, got {_described(version)}",
            remedy=f"set it to {FORMAT_VERSION}",
        )
    if not 1 <= int(version) <= FORMAT_VERSION:
        raise FormatError(
            f"format version {int(version)}, this nccli reads 1 to {FORMAT_VERSION}",
            remedy="upgrade nccli" if int(version) > FORMAT_VERSION else "set it to 1",
        )


def _attribute(file: h5py.File, name: str) -> Any:
    if name not in file.attrs:
        return None
    value = file.attrs[name]
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.reshape(-1)[0]
    return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_metadata(file: h5py.File) -> Metadata:
    """Return the metadata, absent ones as None; raises FormatError on a wrong type or value."""
    values: dict[str, Any] = {}
    for name in _TEXT_ATTRIBUTES:
        values[name] = _typed(file, name, (str, bytes), "text", _text)
    for name in _INTEGER_ATTRIBUTES:
        values[name] = _typed(file, name, (int, np.integer), "an integer", int)
    for name in _NUMBER_ATTRIBUTES:
        real = (int, float, np.integer, np.floating)
        values[name] = _typed(file, name, real, "a number", float)
        if values[name] is not None and not 0 <= values[name] < np.inf:
            raise FormatError(
                f"root attribute '{name}' must be finite and not negative, got {values[name]}"
            )
    delta = values["label_smoothing"]
    if delta is not None and not 0 <= delta < 1:
        raise FormatError(f"root attribute 'label_smoothing' must lie in [0, 1), got {delta}")
    return Metadata(**values, class_names=_class_names(file))


def _typed(
    file: h5py.File, name: str, types: tuple[type, ...], noun: str, convert: Any
) -> Any | None:
    value = _attribute(file, name)
    if value is None:
        return None
    if not isinstance(value, types):
        raise FormatError(f"root attribute '{name}' must be {noun}, got {_described(value)}")
    return convert(value)


def _class_names(file: h5py.File) -> tuple[str, ...] | None:
    if "class_names" not in file.attrs:
        return None
    return tuple(_text(name) for name in np.atleast_1d(file.attrs["class_names"]))


def as_attributes(metadata: Metadata) -> dict[str, Any]:
    """Return what is written as root attributes; strings have a fixed length."""
    present = {
        name: value for name, value in dataclasses.asdict(metadata).items() if value is not None
    }
    encoded = {name: _fixed_length(value) for name, value in present.items()}
    return {"format": _fixed_length(FORMAT), "format_version": FORMAT_VERSION} | encoded


def _fixed_length(value: Any) -> Any:
    if isinstance(value, str):
        return np.array(value.encode(), dtype=h5py.string_dtype("utf-8", len(value.encode()) or 1))
    if isinstance(value, tuple):
        width = max((len(name.encode()) for name in value), default=1) or 1
        return np.array([name.encode() for name in value], dtype=h5py.string_dtype("utf-8", width))
    return value
