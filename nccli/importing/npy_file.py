"""NumPy's own files. Headers are read with limits, objects refused, plain data mapped.

An .npz that was not compressed holds its arrays as they are: they are mapped where they stand.
"""

from __future__ import annotations

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nccli.errors import FormatError
from nccli.importing.entry import Entry

MOST_EXPANSION = 1_100  # deflate reaches 1,032 at best
MOST_MEMBERS = 10_000
LOCAL_HEADER = struct.Struct("<4s5H3I2H")

OBJECTS = FormatError(
    "holds Python objects (a pickle), which can run any code when they are loaded",
    remedy="save plain numbers: numpy.save('labels.npy', numpy.asarray(labels, dtype=int))",
)
_DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, struct.error,
           NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError)  # fmt: skip


def read_npy(path: Path) -> dict[str, Entry]:
    """Return the one array of an .npy, by the file's name without extension."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return {path.stem: _entry(file, path, start=0, stored=size, plain=True, load=None)}


def read_npz(path: Path) -> dict[str, Entry]:
    """Return the arrays of an .npz by their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith("data.pkl") for member in members):
                raise FormatError(
                    "a PyTorch file: its pickle is never loaded",
                    remedy="save arrays with numpy.savez or safetensors instead",
                )
            if len(members) > MOST_MEMBERS:
                raise FormatError(
                    f"holds {len(members):,} arrays, at most {MOST_MEMBERS:,} are read"
                )
            return {
                member.filename.removesuffix(".npy"): _member(archive, member, path)
                for member in members
                if member.filename.endswith(".npy")
            }
    except _DAMAGE as error:
        raise FormatError(
            f"damaged .npz ({_first_line(error)})", remedy="copy it again, or save it again"
        ) from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Entry:
    if member.file_size > MOST_EXPANSION * max(member.compress_size, 1000):
        raise FormatError(
            f"'{member.filename}' says it unpacks to {member.file_size:,} bytes from "
            f"{member.compress_size:,}",
            remedy="it was made to burst: leave it out",
        )
    plain = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
    start = _data_start(path, member) if plain else 0

    def load() -> NDArray[Any]:
        with zipfile.ZipFile(path) as whole, whole.open(member) as file:
            return _loaded(file)

    with archive.open(member) as file:
        return _entry(file, path, start=start, stored=member.file_size, plain=plain, load=load)


def _data_start(path: Path, member: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(member.header_offset)
        fields = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return member.header_offset + LOCAL_HEADER.size + int(fields[-2]) + int(fields[-1])


def _entry(
    file: IO[bytes],
    path: Path,
    *,
    start: int,
    stored: int,
    plain: bool,
    load: Callable[[], NDArray[Any]] | None,
) -> Entry:
    try:
        shape, fortran, dtype, begin = _header(file)
    except _DAMAGE as error:
        raise FormatError(
            f"damaged .npy header ({_first_line(error)})", remedy="save it again"
        ) from None
    if dtype.hasobject:
        raise OBJECTS
    need = begin + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if need > stored:
        raise FormatError(
            f"says it holds {need:,} bytes and has {stored:,}", remedy="copy it again: it was cut"
        )

    def mapped() -> NDArray[Any]:
        if 0 in shape:
            return np.empty(shape, dtype)
        flat = np.memmap(path, dtype, "r", start + begin, (int(np.prod(shape)),))
        return flat.reshape(shape, order="F" if fortran else "C")

    get = mapped if plain or load is None else load
    return Entry(shape=shape, dtype=str(dtype), load=_guarded(get))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, fortran, dtype = read(file)
    if any(length < 0 for length in shape):
        raise ValueError("a negative length")
    return shape, fortran, dtype, file.tell()


def _loaded(file: IO[bytes]) -> NDArray[Any]:
    found: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return found


def _guarded(get: Callable[[], NDArray[Any]]) -> Callable[[], NDArray[Any]]:
    def load() -> NDArray[Any]:
        try:
            return get()
        except _DAMAGE as error:
            raise FormatError(
                f"cannot be read ({_first_line(error)})", remedy="copy it again, or save it again"
            ) from None

    return load


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
