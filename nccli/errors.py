"""Every error that a user can cause, as a tree; each class carries its exit code.

NccliError
├── UsageError            2   the command line or the settings are wrong
│   └── MissingExtraError 2   an optional dependency is not installed
├── InputError            3   an input cannot be used (4 when others of the batch could)
│   ├── NotFoundError         no such file, run or epoch
│   ├── FormatError           not a checkpoint nccli can read
│   │   └── IdentityError         not one at all, or of another version
│   └── ContentError          a readable checkpoint whose numbers cannot be used
│       └── ShapeError            arrays that do not fit together
├── TrainingError         3   a run could not go on (diverged, disk full)
└── Interrupted         130   Ctrl-C
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from nccli.text import visible

DONE = 0
CLAIM_FAILED = 1
SOME_INPUTS_FAILED = 4
BUG = 70


class NccliError(Exception):
    """One line for the user: where, what is wrong, how to mend it."""

    exit_code: ClassVar[int] = BUG

    def __init__(self, problem: str, *, source: object = None, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.source = None if source is None else str(source)
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.source}: " if self.source is not None else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return visible(f"{place}{self.problem}{remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders by pickling; keyword arguments need this.
        return (_rebuild, (type(self), self.problem, self.source, self.remedy))


def _rebuild(
    kind: type[NccliError], problem: str, source: str | None, remedy: str | None
) -> NccliError:
    return kind(problem, source=source, remedy=remedy)


class UsageError(NccliError):
    """The command line or the settings are wrong."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional dependency is not installed."""


class InputError(NccliError):
    """An input cannot be used."""

    exit_code = 3


class NotFoundError(InputError):
    """There is no such file, run or epoch."""


class FormatError(InputError):
    """The file is not a checkpoint that nccli can read."""


class IdentityError(FormatError):
    """The file is no HDF5 file, no checkpoint, or one of a version that is not read."""


class ContentError(InputError):
    """The checkpoint can be read, but its numbers cannot be used for what was asked."""


class ShapeError(ContentError):
    """The arrays of the checkpoint do not fit together."""


class TrainingError(NccliError):
    """A training run could not go on."""

    exit_code = 3


class Interrupted(NccliError):
    """The user pressed Ctrl-C."""

    exit_code = 130


@contextmanager
def locate_errors(path: Path) -> Iterator[None]:
    """Give every InputError raised inside the file's name, once."""
    try:
        yield
    except InputError as error:
        if error.source is None:
            error.source = str(path)
        raise
