"""What a checkpoint file holds: the names of the format, and nothing else, are looked up.

Every component of a name is checked for its kind of link before it is followed, and every data
set for where its numbers are and what they would cost, before any is read.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import h5py
import numpy as np
from h5py import h5d

from nccli.errors import FormatError
from nccli.reader.attributes import check_format, read_hash, read_metadata, read_minor
from nccli.reader.limits import Limits
from nccli.reader.objects import filters_of
from nccli.reader.opening import identity_of, opened
from nccli.text import plural

PARTS = ("features", "labels", "logits")
MOST_SHARED = 4  # names of the same data; our own limit
RANKS = {"features": 2, "labels": 1, "logits": 2, "weight": 2, "bias": 1}
# What NumPy reads as it stands in the file: whole numbers and IEEE floats, lowest byte first
STRAIGHT = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"}
BUILT_IN_FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # deflate to scale-offset, and h5py's lzf

_REMEDIES = {
    "f": "convert it to float32, float16 or float64 before saving",
    "iu": "save class numbers as int64 (argmax of one-hot rows)",
    "fiu": "save plain numbers",
}


def describe(path: str, *, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """Return metadata and where each array stands; raises FormatError."""
    before = identity_of(path)
    with opened(path) as file:
        major = check_format(file, limits)
        told = {
            "format_version": major,
            "identity": before,
            "metadata": read_metadata(file, limits),
            "format_minor": read_minor(file, limits),
            "content_sha256": read_hash(file, limits),
            "classifier": _classifier(file, limits),
            "splits": [[name, _split(file, name, limits)] for name in _split_names(file, limits)],
        }
    if identity_of(path) != before:
        raise FormatError("changed while it was being read", remedy="run it again")
    _check_sharing(told, before["size"])
    return told, b""


def locate(path: str, *, name: str, limits: Limits) -> tuple[dict[str, Any], bytes]:
    """Return where the numbers of any data set of any HDF5 file stand."""
    before = identity_of(path)
    with opened(path) as file:
        found = _numbers(file, name, limits)
        told = {"identity": before, "array": _placed(found, name)}
    return told, b""


def _numbers(file: h5py.File, name: str, limits: Limits) -> h5py.Dataset:
    """Look a data set up, one component of its name after the other."""
    *groups, part = name.strip("/").split("/")
    group: h5py.Group = file
    for one in groups:
        group = _group(group, one)
    found = _member(group, part)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"{name} must be a data set, found a group")
    _check_place(found, name)
    _check_type(found, name, kind="fiu")
    _check_cost(found, name, limits)
    return found


def _check_sharing(told: dict[str, Any], size: int) -> None:
    """Refuse one stretch of a file under many names: each would be read, and take its time."""
    groups = [told["classifier"] or {}, *(arrays for _, arrays in told["splits"])]
    stored = sum(one["stored"] for group in groups for one in group.values() if one is not None)
    if stored > MOST_SHARED * size:
        raise FormatError(
            f"names {stored:,} bytes of data in a file of {size:,}",
            remedy="one data set stands under many names: store each split once",
        )


def rows(
    path: str,
    *,
    name: str,
    start: int,
    stop: int,
    identity: dict[str, int],
    size: int,
    limits: Limits,
) -> tuple[dict[str, Any], memoryview]:
    """Return rows start..stop-1 of a data set, `size` bytes in the machine's byte order."""
    with opened(path) as file:
        found = _numbers(file, name, limits)
        values = np.ascontiguousarray(found[start:stop], found.dtype.newbyteorder("="))
    if identity_of(path) != identity or values.nbytes != size:
        raise FormatError("changed while it was being read", remedy="run it again")
    return {"size": size}, values.reshape(-1).view(np.uint8).data


def _split_names(file: h5py.File, limits: Limits) -> list[str]:
    if len(file) > limits.names:
        raise FormatError(
            f"holds {len(file):,} root names, a checkpoint has at most {limits.names:,}",
            remedy=f"{limits.variable('names')} allows more",
        )
    # a name that reads as a path would be walked along
    names = [name for name in file if isinstance(name, str)]  # bytes: no text in any encoding
    names = [name for name in names if name not in ("classifier", ".") and "/" not in name]
    names = [name for name in names if _is_split(file, name)]
    if not names:
        raise FormatError(
            "holds no split: neither train/features nor test/features is there",
            remedy="save features and labels of at least one split",
        )
    order = {"train": 0, "test": 1}
    return sorted(names, key=lambda name: (order.get(name, 2), name))


def _is_split(file: h5py.File, name: str) -> bool:
    group = _member(file, name)
    if not isinstance(group, h5py.Group) or not _has(group, "features"):
        return False
    if _has(group, "labels"):
        return True
    if name in ("train", "test"):
        raise FormatError(f"{name}/features is there but {name}/labels is not")
    return False  # an out-of-distribution split has no labels, and nothing here to measure


def _has(group: h5py.Group, name: str) -> bool:
    """Whether a name stands in a group, wherever it leads."""
    return bool(group.id.links.exists(name.encode()))


def _member(group: h5py.Group, name: str) -> Any:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise FormatError(
            f"'{_where(group, name)}' is a {type(link).__name__}, which is never followed",
            remedy="store the data themselves in the file",
        )
    return group[name]


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    if not _has(parent, name):
        raise FormatError(f"holds no '{_where(parent, name)}'")
    found = _member(parent, name)
    if not isinstance(found, h5py.Group):
        raise FormatError(f"{name} must be a group, found a data set")
    return found


def _where(group: h5py.Group, name: str) -> str:
    return f"{group.name}/{name}".strip("/")


def _classifier(file: h5py.File, limits: Limits) -> dict[str, Any] | None:
    if not _has(file, "classifier"):
        return None
    group = _member(file, "classifier")
    if not isinstance(group, h5py.Group) or not _has(group, "weight"):
        raise FormatError("classifier is there but classifier/weight is not")
    return {
        name: _array(group, name, limits) if _has(group, name) else None
        for name in ("weight", "bias")
    }


def _split(file: h5py.File, name: str, limits: Limits) -> dict[str, Any]:
    group = _group(file, name)
    return {part: _array(group, part, limits) if _has(group, part) else None for part in PARTS}


def _array(group: h5py.Group, name: str, limits: Limits) -> dict[str, Any]:
    return _placed(_dataset(group, name, limits), _where(group, name))


def _placed(found: h5py.Dataset, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(found.shape),
        "dtype": found.dtype.newbyteorder("=").str,
        "offset": _straight_offset(found),
        "chunk_rows": found.chunks[0] if found.chunks else None,
        "stored": found.id.get_storage_size(),
    }


def _straight_offset(found: h5py.Dataset) -> int | None:
    """Where the numbers begin in the file; None where the HDF5 library must fetch them."""
    if found.id.get_create_plist().get_layout() != h5d.CONTIGUOUS or not found.size:
        return None
    if found.dtype.str not in STRAIGHT or not found.id.get_type().equal(
        h5py.h5t.py_create(found.dtype)
    ):
        return None  # bits that mean something else than NumPy's
    if found.file.userblock_size or sys.byteorder != "little":
        return None
    offset: int | None = found.id.get_offset()
    return offset


# --- what a data set may be -----------------------------------------------------------------------


def _dataset(group: h5py.Group, name: str, limits: Limits) -> h5py.Dataset:
    found = _member(group, name)
    where = _where(group, name)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"{where} must be a data set, found a group")
    _check_place(found, where)
    _check_type(found, where, kind="iu" if name == "labels" else "f")
    if len(found.shape) != RANKS[name]:
        raise FormatError(
            f"{where} must have {plural(RANKS[name], 'dimension')}, got shape {found.shape}",
            remedy="of one-hot rows save the argmax" if name == "labels" else None,
        )
    _check_cost(found, where, limits)
    return found


def _check_place(found: h5py.Dataset, where: str) -> None:
    plist = found.id.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL or plist.get_external_count():
        raise FormatError(
            f"{where} keeps its data outside the file, which is never followed",
            remedy="store the data themselves in the file",
        )
    if found.shape is None:
        raise FormatError(f"{where} is an empty (null) data set", remedy="save its numbers")


def _check_type(found: h5py.Dataset, where: str, *, kind: str) -> None:
    _check_known(found, where)
    told = found.id.get_type().get_class()
    if told in (h5py.h5t.VLEN, h5py.h5t.REFERENCE, h5py.h5t.STRING):
        noun = {h5py.h5t.VLEN: "lists", h5py.h5t.REFERENCE: "references"}.get(told, "text")
        raise FormatError(f"{where} holds {noun}, which are never read", remedy=_REMEDIES[kind])
    if found.dtype.kind not in kind:
        noun = {"f": "floats", "iu": "integers"}.get(kind, "numbers")
        raise FormatError(f"{where} must hold {noun}, got {found.dtype}", remedy=_REMEDIES[kind])
    if kind == "f" and found.dtype.itemsize not in (2, 4, 8):
        raise FormatError(
            f"{where} must be float16, float32 or float64, got {found.dtype}",
            remedy=_REMEDIES[kind],
        )


def _check_known(found: h5py.Dataset, where: str) -> None:
    try:
        found.dtype  # noqa: B018 - h5py looks for a type of NumPy's
    except TypeError:
        raise FormatError(
            f"{where} is of a type that NumPy does not know",
            remedy="save numbers of 8, 16, 32 or 64 bits",
        ) from None


def _check_cost(found: h5py.Dataset, where: str, limits: Limits) -> None:
    """Refuse what would take far more than the file holds, before it is asked for."""
    declared = found.size * found.id.get_type().get_size()
    stored = found.id.get_storage_size()
    if declared and not stored:
        raise FormatError(
            f"{where} was declared with shape {found.shape} and never written",
            remedy="its writer died: write it again or delete it",
        )
    if found.chunks is not None:
        _check_chunks(found, where, limits)
    most = stored * (limits.expansion if found.chunks is not None else 1)
    if declared > most:
        raise FormatError(
            f"{where} declares {declared:,} bytes and stores {stored:,}",
            remedy=f"it was not written whole, or made to burst; {limits.variable('expansion')} "
            "allows more"
            if found.chunks is not None
            else "the file is damaged",
        )


def _check_chunks(found: h5py.Dataset, where: str, limits: Limits) -> None:
    for code, name in filters_of(found.id.get_create_plist()):
        if code not in BUILT_IN_FILTERS:
            raise FormatError(
                f"{where} is packed by {name}, which nccli does not load",
                remedy="repack it with gzip, or not at all: h5repack -f NONE",
            )
    chunk = math.prod(found.chunks) * found.id.get_type().get_size()
    if chunk > limits.chunk_bytes:
        raise FormatError(
            f"{where} has chunks of {chunk:,} bytes",
            remedy=f"repack it in smaller ones; {limits.variable('chunk_bytes')} allows more",
        )
    count = math.prod(-(-n // c) for n, c in zip(found.shape, found.chunks, strict=True))
    if count > limits.chunks:
        raise FormatError(
            f"{where} is cut into {count:,} chunks",
            remedy=f"repack it in larger ones; {limits.variable('chunks')} allows more",
        )
    written = found.id.get_num_chunks()
    if written < count:
        raise FormatError(
            f"{where} was not written whole: {written:,} of {count:,} chunks are there",
            remedy="its writer died: write it again or delete it",
        )
