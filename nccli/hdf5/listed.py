"""What stands in any HDF5 file, as the process that opens files tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nccli.errors import locate_errors
from nccli.hdf5.plain_file import check_plain_file
from nccli.reader.asking import ask
from nccli.reader.found import Found, Kind, Pairs

__all__ = ["Found", "Kind", "Listed", "Pairs", "list_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file as a list of names in tree order."""

    checkpoint: bool  # it says that it is one, or nothing that is read here
    attributes: Pairs  # of the root
    found: tuple[Found, ...]
    more: int  # names that were seen and left out; what stands inside of those is not counted
    size: int  # bytes of the file
    modified_ns: int


def list_file(path: Path) -> Listed:
    """List a file; raises what `read_checkpoint` raises where it cannot be opened as HDF5."""
    with locate_errors(path):
        check_plain_file(path)
        told = ask("list", path)
    return Listed(
        checkpoint=told["checkpoint"],
        attributes=_pairs(told["attributes"]),
        found=tuple(_found(one) for one in told["found"]),
        more=told["more"],
        size=told["identity"]["size"],
        modified_ns=told["identity"]["modified_ns"],
    )


def _found(told: dict[str, Any]) -> Found:
    shape = told.get("shape")
    return Found(
        **told
        | {
            "shape": None if shape is None else tuple(shape),
            "attributes": _pairs(told["attributes"]),
            "present": tuple(told["present"]),
        }
    )


def _pairs(told: list[list[str]]) -> Pairs:
    return tuple((name, value) for name, value in told)
