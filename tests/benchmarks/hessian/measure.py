"""CPU time of contenders side by side, and memory of one contender in a process of its own.

CPU time is user plus system time of the whole process; the smallest of the rounds counts,
because a shared machine only adds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contenders import Contender
from tasks import Question

PATIENCE = 20.0  # CPU seconds: who takes longer runs once
POLL_SECONDS = 0.001  # what lives shorter than this is not seen by the memory poll
WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The best of the runs of one contender, and the numbers it returned."""

    name: str
    seconds: float
    runs: int
    values: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One run in a fresh process: CPU seconds, and anonymous memory above its start."""

    seconds: float
    peak_bytes: int


def race(rows: Sequence[Contender], path: Path, *, rounds: int) -> list[Timing]:
    """Run all contenders once, then all once more, and so on: a busy moment hits all alike."""
    times: dict[str, list[float]] = {row.name: [] for row in rows}
    values: dict[str, list[float]] = {}
    for _ in range(rounds):
        for row in rows:
            if min(times[row.name], default=0.0) > PATIENCE:
                continue
            start = time.process_time()
            values[row.name] = row.run(path)
            times[row.name].append(time.process_time() - start)
    return [
        Timing(
            name=row.name,
            seconds=min(times[row.name]) / row.parts,
            runs=len(times[row.name]),
            values=values[row.name],
        )
        for row in rows
    ]


def footprint(name: str, question: Question, path: Path) -> Footprint:
    """Run a contender in a process of its own, watched from here."""
    what = [name, question.quantity, str(question.count), str(path)]
    arguments = [sys.executable, str(WORKER), *what]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        peak = 0
        while child.poll() is None:
            peak = max(peak, anonymous_bytes(child.pid))
            time.sleep(POLL_SECONDS)
        output = child.stdout.read() if child.stdout else ""
    if child.returncode:
        raise SystemExit(f"{name} ended with status {child.returncode}")
    told = json.loads(output)
    # A contender smaller than its imports peaks before it starts: nothing above the start.
    return Footprint(seconds=told["seconds"], peak_bytes=max(0, peak - told["start_bytes"]))


def anonymous_bytes(pid: int | str = "self") -> int:
    """Resident anonymous memory of a process; 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
