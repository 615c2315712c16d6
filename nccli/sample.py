"""The data that travel with nccli: the digits, and small real checkpoints made from them."""

from __future__ import annotations

from pathlib import Path

from nccli.errors import NotFoundError

FOLDER = "sample_data"


def sample_data_path(name: str) -> Path:
    """Return where a file or folder of the sample data stands: `digits.npz`, `runs`.

    An installed nccli carries them in the package (nccli/sample_data), a checkout of the
    repository beside it (sample_data). Raises NotFoundError where neither has it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / FOLDER, package.parent / FOLDER):
        if (folder / name).exists():
            return folder / name
    raise NotFoundError(
        "these sample data are not installed",
        source=f"{FOLDER}/{name}",
        remedy="reinstall nccli, or run `make digits sample-data` in its repository",
    )
