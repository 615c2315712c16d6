"""Is a path a file that can be read at all?"""

from __future__ import annotations

import os
from pathlib import Path

from nccli.errors import IdentityError, NotFoundError


def check_plain_file(path: Path) -> None:
    """Raise NotFoundError or IdentityError (an empty file), without the file's name."""
    try:
        exists, is_file = path.exists(), path.is_file()
    except (OSError, ValueError) as error:
        raise NotFoundError(f"cannot be looked up ({error})") from None
    if not exists:
        raise NotFoundError("no such file", remedy="check the path")
    if not is_file:
        raise NotFoundError(
            "not a regular file", remedy="give a checkpoint file or a run directory"
        )
    if not os.access(path, os.R_OK):
        raise NotFoundError("no permission to read it", remedy="check its owner and mode")
    if path.stat().st_size == 0:
        raise IdentityError(
            "the file is empty", remedy="the writer was cut off: write it again or delete it"
        )
