"""What a file may ask for: above these it is refused, or the process that reads it is ended.

They are our own numbers, far above what a checkpoint needs. Each may be set in the environment,
as NCCLI_MAX_ and its name in capitals: NCCLI_MAX_CHUNK_BYTES=1000000000.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass

from nccli.errors import UsageError

PREFIX = "NCCLI_MAX_"
LARGEST = 2**50  # what every system call takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Documented in docs/format.md; a test keeps it in step."""

    reader_bytes: int = 2 * 2**30  # address space of the process that opens files
    cpu_seconds: int = 5  # of that process, for one question (a slab of rows: and a bit more)
    wait_seconds: int = 60  # for an answer, whatever the disk is doing
    chunk_bytes: int = 256 * 2**20  # of one chunk, unpacked
    chunks: int = 10_000_000  # of one data set
    expansion: int = 1_100  # unpacked over packed: deflate reaches 1,032 at best
    attribute_bytes: int = 2**20  # of one attribute that is read
    whole_bytes: int = 2**30  # of labels, W or b, which are held in memory
    names: int = 1_000  # in the root

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """Return the limits that are in force. Raises UsageError on a value that is no number."""
        changed = {}
        for field in dataclasses.fields(cls):
            variable = PREFIX + field.name.upper()
            if variable in environment:
                changed[field.name] = _positive(environment[variable], variable)
        return cls(**changed)

    def variable(self, name: str) -> str:
        """Return the environment variable that sets a limit."""
        return PREFIX + name.upper()


def _positive(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= LARGEST):
        raise UsageError(f"{variable} must be a whole number from 1 to 2^50, got {text!r}")
    return int(text)
