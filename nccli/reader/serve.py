"""The process that opens files: a question a line on stdin, an answer each on stdout.

A question is {"question": ..., "path": ..., ...}; an answer is the length of a JSON object, the
object, and the numbers asked for, if any. An error is {"error": class, "problem": ..., "remedy":
...}. Whatever the HDF5 library does in here costs one file.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import traceback
from collections.abc import Callable
from typing import Any

from nccli.errors import InputError
from nccli.reader.asking import HEADER
from nccli.reader.limits import Limits
from nccli.reader.schema import describe, locate, rows
from nccli.reader.tree import listing

Answer = tuple[dict[str, Any], bytes | memoryview]
QUESTIONS: dict[str, Callable[..., Answer]] = {
    "describe": describe,
    "rows": rows,
    "locate": locate,
    "list": listing,
}

LONGEST_SECONDS = 1e8  # a timer takes no more
SLOWEST_BYTES_A_SECOND = 10_000_000  # of any filter: what is asked for in one go may take so long


def main(questions: int, answers: int) -> None:
    """Answer what is asked on one descriptor on the other, until nobody asks any more."""
    limits = Limits.of_environment()
    if answers == 1:  # nothing else may speak on this pipe
        answers = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    confine(limits)
    with open(questions, "rb") as lines:
        for line in lines:
            told, numbers = answer(json.loads(line), limits)
            words = json.dumps(told).encode()
            _write(answers, HEADER.pack(len(words)) + words)
            _write(answers, numbers)


def confine(limits: Limits) -> None:
    """Take away from this process what reading a file does not need."""
    for kind, most in (
        (resource.RLIMIT_AS, _address_space() + limits.reader_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # it writes no file
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _address_space() -> int:
    """Bytes that this process has mapped already: a fork has what its parent had."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def answer(asked: dict[str, Any], limits: Limits) -> Answer:
    """Answer one question; never raises."""
    question = QUESTIONS[asked.pop("question")]
    seconds = limits.cpu_seconds + asked.get("size", 0) / SLOWEST_BYTES_A_SECOND
    signal.setitimer(
        signal.ITIMER_PROF, min(seconds, LONGEST_SECONDS)
    )  # SIGPROF ends a process that computes on
    try:
        return question(**asked, limits=limits)
    except InputError as error:
        return _failed(type(error).__name__, error.problem, error.remedy)
    except MemoryError:
        return _failed(
            "FormatError",
            f"takes more than {limits.reader_bytes:,} bytes of memory to read",
            f"if it is sound, set {limits.variable('reader_bytes')} higher",
        )
    except Exception:  # noqa: BLE001 - told to the process that asked
        return _failed("bug", traceback.format_exc(), None)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _failed(kind: str, problem: str, remedy: str | None) -> Answer:
    return {"error": kind, "problem": problem, "remedy": remedy}, b""


def _write(descriptor: int, content: bytes | memoryview) -> None:
    view = memoryview(content).cast("B") if content else memoryview(b"")
    while view:
        view = view[os.write(descriptor, view) :]
