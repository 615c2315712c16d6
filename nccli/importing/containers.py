"""A file that holds arrays under names, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nccli.errors import ContentError, FormatError, locate_errors
from nccli.hdf5.plain_file import check_plain_file
from nccli.importing import hdf5_file, npy_file, safetensors_file, tables
from nccli.importing.entry import Entry
from nccli.text import shortlist

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib", ".dill")
WAY_OUT = (
    "a pickle can run any code when it is loaded; save arrays instead: numpy.savez('features.npz', "
    "features=..., labels=..., weight=..., bias=...) or safetensors"
)
MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", ".npy"), (b"PK\x03\x04", ".npz"), (b"\x89HDF\r\n\x1a\n", ".h5"),
    (b"PAR1", ".parquet"),
)  # fmt: skip
READERS: Mapping[str, Callable[[Path], dict[str, Entry]]] = {
    ".npy": npy_file.read_npy,
    ".npz": npy_file.read_npz,
    ".safetensors": safetensors_file.read_safetensors,
    ".h5": hdf5_file.read_hdf5,
    ".csv": tables.read_csv,
    ".tsv": tables.read_csv,
    ".txt": tables.read_csv,
    ".parquet": tables.read_parquet,
}
_SAME = {".hdf5": ".h5", ".hdf": ".h5", ".he5": ".h5", ".mat": ".h5", ".pq": ".parquet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A file and the arrays in it, by name."""

    path: Path
    entries: Mapping[str, Entry]

    def array(self, name: str) -> NDArray[Any]:
        """Return an array. Raises ContentError naming those that are there."""
        entry = self.entries.get(name) or self.entries.get(name.strip("/"))
        if entry is None:
            raise ContentError(
                f"holds no '{name}'", source=self.path, remedy=f"it holds: {self.listed()}"
            )
        with locate_errors(self.path):
            return entry.load()

    def listed(self) -> str:
        """What stands in the file, in a line."""
        return shortlist([f"{name} {one.described}" for name, one in self.entries.items()], limit=8)


def open_container(path: Path) -> Container:
    """Find out what a file is and list its arrays. Raises InputError naming the file."""
    with locate_errors(path):
        check_plain_file(path)
        return Container(path=path, entries=READERS[_kind(path)](path))


def _kind(path: Path) -> str:
    """The extension that stands for the format: by the first bytes, then by the name."""
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(512)
    if suffix in PICKLES or head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise FormatError("a pickle, which is never loaded", remedy=WAY_OUT)
    found = next((kind for magic, kind in MAGIC if head.startswith(magic)), None)
    suffix = _SAME.get(suffix, suffix)
    if found is not None:
        return found
    if suffix in (".safetensors", ".csv", ".tsv", ".txt"):
        return suffix
    if suffix in READERS:
        raise FormatError(f"is called {suffix} and is none", remedy="was it copied whole?")
    raise FormatError(
        "a kind of file that is not read",
        remedy="give .npy, .npz, .safetensors, HDF5, .csv or .parquet",
    )
