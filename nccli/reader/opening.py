"""Opening a file without a lock; whatever h5py says of a damaged one becomes one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from nccli.errors import FormatError, IdentityError, InputError, NotFoundError
from nccli.identity import Identity
from nccli.text import plural

_OF_THE_SYSTEM = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE,
                  errno.ENFILE)  # fmt: skip

# h5py's ways to say "damaged"; one damaged object leaves the others readable
DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError)


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """Open a file; only calls into h5py may run inside."""
    try:
        file = h5py.File(path, "r", locking=False)
    except DAMAGE as error:
        raise _unopenable(path, error) from None
    with file:
        try:
            yield file
        except InputError:
            raise
        except DAMAGE as error:
            raise FormatError(
                f"the HDF5 library cannot read it ({first_line(error)})",
                remedy="the file is damaged: restore or delete it",
            ) from None


def identity_of(path: str) -> dict[str, int]:
    """Which bytes stand under the path now, for JSON. Raises NotFoundError."""
    try:
        found = Identity.of(Path(path))
    except OSError as error:
        raise _vanished(error) from None
    return {name: getattr(found, name) for name in ("device", "inode", "size", "modified_ns")}


def _vanished(error: OSError) -> NotFoundError:
    return NotFoundError(f"vanished while it was being read ({error.strerror})")


def _unopenable(path: str, error: BaseException) -> InputError:
    text = first_line(error)
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
        return NotFoundError(f"cannot be read ({os.strerror(error.errno)})", remedy="try again")
    if "truncated" in text:
        return IdentityError(
            f"truncated HDF5 file ({plural(os.stat(path).st_size, 'byte')} are there)",  # noqa: PTH116
            remedy="copy it again, or delete it if its writer died",
        )
    if not h5py.is_hdf5(path):
        return IdentityError("not an HDF5 file", remedy="give a checkpoint written by nccli")
    return IdentityError(f"the HDF5 library cannot open it ({text})", remedy="the file is damaged")


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    lines = str(error).strip("'\"").splitlines()
    return lines[0] if lines else type(error).__name__


def address_of(found: Any) -> tuple[int, int]:
    """Tell two objects of a file apart; `found` is h5py's low-level id."""
    info = h5py.h5o.get_info(found)
    return info.fileno, info.addr
