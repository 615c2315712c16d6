"""Print the oldest versions that pyproject.toml admits of what reads and computes, for pip."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())

for requirement in PROJECT["project"]["dependencies"]:
    name, version = re.fullmatch(r"([\w-]+)>=([\d.]+).*", requirement).groups()
    if name in ("numpy", "scipy", "h5py"):
        print(f"{name}~={version}.0")
