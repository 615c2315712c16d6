"""The root attributes of a checkpoint file: format, version, and what it says of its origin."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5s, h5t

from nccli.errors import FormatError, IdentityError
from nccli.reader.format import FORMAT, FORMAT_MAJOR
from nccli.reader.limits import Limits

_TEXT_ATTRIBUTES = ("loss", "dataset", "architecture", "created", "software")
_INTEGER_ATTRIBUTES = ("epoch", "seed")
_NUMBER_ATTRIBUTES = ("label_smoothing", "weight_decay", "feature_decay")
_SHOWN = 80  # characters of a value in a message


def check_format(file: h5py.File, limits: Limits) -> int:
    """Return the major version; raises IdentityError unless it is a checkpoint of one we read."""
    found = _attribute(file, "format", limits)
    if found is None:
        raise IdentityError(
            "an HDF5 file, but not an nccli checkpoint (no root attribute 'format')",
            remedy="write it with nccli.hdf5.write_checkpoint, or set format='nccli-checkpoint' "
            "and format_version=1 if it has that layout",
        )
    if _text(found) != FORMAT:
        raise IdentityError(
            f"root attribute 'format' is '{_text(found)[:_SHOWN]}', expected '{FORMAT}'",
            remedy="give a checkpoint written by nccli",
        )
    version = _attribute(file, "format_version", limits)
    if not _is_integer(version):
        raise IdentityError(
            f"root attribute 'format_version' must be an integer, got {_described(version)}",
            remedy=f"set it to {FORMAT_MAJOR}",
        )
    if not 1 <= int(version) <= FORMAT_MAJOR:
        raise IdentityError(
            f"format version {int(version)}, this nccli reads 1 to {FORMAT_MAJOR}",
            remedy="upgrade nccli" if int(version) > FORMAT_MAJOR else "set it to 1",
        )
    return int(version)


def read_minor(file: h5py.File, limits: Limits) -> int:
    """Return the minor version, 0 where there is none."""
    found = _typed(file, "format_minor", (int, np.integer), "an integer", int, limits)
    return 0 if found is None else max(0, int(found))


def read_hash(file: h5py.File, limits: Limits) -> str | None:
    """Return what the file says its content hashes to."""
    found: str | None = _typed(file, "content_sha256", (str, bytes), "text", _text, limits)
    return found


def read_metadata(file: h5py.File, limits: Limits) -> dict[str, Any]:
    """Return the fields of Metadata, absent ones as None; raises FormatError on a wrong value."""
    values: dict[str, Any] = {}
    for name in _TEXT_ATTRIBUTES:
        values[name] = _typed(file, name, (str, bytes), "text", _text, limits)
    for name in _INTEGER_ATTRIBUTES:
        values[name] = _typed(file, name, (int, np.integer), "an integer", int, limits)
    for name in _NUMBER_ATTRIBUTES:
        real = (int, float, np.integer, np.floating)
        values[name] = _typed(file, name, real, "a number", float, limits)
        if values[name] is not None and not 0 <= values[name] < np.inf:
            raise FormatError(
                f"root attribute '{name}' must be finite and not negative, got {values[name]}"
            )
    delta = values["label_smoothing"]
    if delta is not None and not 0 <= delta < 1:
        raise FormatError(f"root attribute 'label_smoothing' must lie in [0, 1), got {delta}")
    return values | {"class_names": _class_names(file, limits)}


def _typed(
    file: h5py.File, name: str, types: tuple[type, ...], noun: str, convert: Any, limits: Limits
) -> Any | None:
    value = _attribute(file, name, limits)
    if value is None:
        return None
    if not isinstance(value, types):
        raise FormatError(f"root attribute '{name}' must be {noun}, got {_described(value)}")
    return convert(value)


def _class_names(file: h5py.File, limits: Limits) -> list[str] | None:
    values = _value(file, "class_names", limits)
    return None if values is None else [_text(name) for name in np.atleast_1d(values).reshape(-1)]


def _attribute(file: h5py.File, name: str, limits: Limits) -> Any:
    value = _value(file, name, limits)
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.reshape(-1)[0]
    return value


def _value(file: h5py.File, name: str, limits: Limits) -> Any:
    if not h5a.exists(file.id, name.encode()):
        return None
    found = h5a.open(file.id, name.encode())
    kind = found.get_type().get_class()
    if kind in (h5t.VLEN, h5t.REFERENCE, h5t.OPAQUE):
        raise FormatError(f"root attribute '{name}' holds what is never read (lists, references)")
    space = found.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return None
    if space.get_simple_extent_npoints() == 0:
        return np.empty(0)
    _check_size(name, found.get_storage_size(), limits)
    try:
        value = file.attrs[name]
    except TypeError:
        raise FormatError(
            f"root attribute '{name}' is of a type that NumPy does not know"
        ) from None
    if kind == h5t.STRING:  # of a variable length, only the pointers were counted
        _check_size(name, sum(map(len, np.atleast_1d(value).reshape(-1).tolist())), limits)
    return value


def _check_size(name: str, size: int, limits: Limits) -> None:
    if size > limits.attribute_bytes:
        raise FormatError(
            f"root attribute '{name}' has {size:,} bytes",
            remedy=f"{limits.variable('attribute_bytes')} allows more",
        )


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{type(value).__name__} {str(value)[:40]!r}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
