"""How fast `nccli.hessian` is on the W block: `python tests/benchmarks/hessian/run.py [--help]`.

Tables with all contenders side by side in one run: single-thread CPU time, files in the page
cache. `--scaling` shows that time is linear in N and how memory grows, up to a million samples.
The files are generated on the spot (seeded) in a temporary folder and deleted again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from contenders import PROBES, absent, contender, names
from data import Case, warm, write_case
from measure import PATIENCE, Footprint, footprint, race
from report import NOTES, Result, machine, scaling_report, summary, table
from tasks import BATCH, FULL, LARGE_BATCH, NCCLI, QUICK, Question, Task, tasks
from truth import Reference

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
SCALING_SIZES = (62_500, 125_000, 250_000, 500_000, 1_000_000)
SCALING_SHAPE = {"dim": 512, "num_classes": 10}
QUICK_SIZES = (2_000, 8_000, 32_000)
QUICK_SHAPE = {"dim": 64, "num_classes": 10}
LARGEST = Question(quantity="eigenvalues")


def main() -> None:
    options = _options()
    _one_blas_thread()
    print(machine())
    if options.scaling:
        _scaling(options)
        return
    print(
        NOTES.format(
            rounds=options.rounds,
            patience=PATIENCE,
            batch=BATCH,
            large=LARGE_BATCH,
            probes=PROBES,
        ),
        flush=True,
    )
    for name, remedy in absent().items():
        print(f"{name} is left out: it needs {remedy}\n")
    results = []
    for task in tasks(QUICK if options.quick else FULL):
        if task.name in options.cases:
            results.append(_compare(task, options))
            print(table(results[-1]), flush=True)
    if options.quick:
        print("Small sizes: a smoke run, its ratios mean little.")
    print(summary(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--cases", default="ABCDE", help="which of A to E to run (default: ABCDE)")
    add("--confident", action="store_true", help="the classifier sure of itself: 1 - p about 1e-5")
    add("--quick", action="store_true", help="small sizes: a smoke run of seconds")
    add("--rounds", type=int, default=3, help="runs of each contender, the best counts (3)")
    add("--memory", action="store_true", help="peak memory in every case, not only in A")
    add("--scaling", action="store_true", help="nccli alone over growing N instead of the tables")
    add("--max-n", type=int, default=SCALING_SIZES[-1], help="largest N of --scaling (1000000)")
    add("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where files may lie")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    return options


def _one_blas_thread() -> None:
    # BLAS libraries read these when they are loaded, which has happened: start once more.
    if any(os.environ.get(name) != "1" for name in THREAD_VARIABLES):
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


@contextmanager
def _written(case: Case, folder: Path) -> Iterator[Path]:
    """The checkpoint of a case, in the page cache, for the time of the block."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * case.nbytes:
        raise SystemExit(f"{folder}: {case.title} needs {case.nbytes:,} bytes, {free:,} are free")
    with tempfile.TemporaryDirectory(prefix="nccli-benchmark-", dir=folder) as name:
        path = Path(name) / "checkpoint.h5"
        write_case(path, case)
        yield path


# --- the tables ---------------------------------------------------------------------------------


def _compare(task: Task, options: argparse.Namespace) -> Result:
    task = replace(task, case=replace(task.case, confident=options.confident))
    question = task.question
    rows = [contender(name, question) for name in names()]
    with _written(task.case, options.dir) as path:
        print(f"  measuring {task.title}, {task.case.title}", file=sys.stderr, flush=True)
        timings = race(rows, path, rounds=options.rounds)
        peaks: dict[str, Footprint] = {}
        if options.memory or task.memory is not None:
            peaks = {row.name: footprint(row.name, question, path) for row in rows}
        reference = Reference.of(path)
    return Result(
        task=task,
        timings=timings,
        right=_answer(reference, question),
        doubt=reference.doubt,
        peaks=peaks,
    )


def _answer(reference: Reference, question: Question) -> list[float]:
    if question.quantity == "eigenvalues":
        return reference.eigenvalues(question.count)
    return [reference.trace()]


# --- growing N ----------------------------------------------------------------------------------


def _scaling(options: argparse.Namespace) -> None:
    sizes, shape = (QUICK_SIZES, QUICK_SHAPE) if options.quick else (SCALING_SIZES, SCALING_SHAPE)
    found: list[tuple[Case, Footprint]] = []
    for count in sizes:
        if count > options.max_n:
            continue
        case = Case(count=count, confident=options.confident, **shape)
        with _written(case, options.dir) as path:
            print(f"  measuring {case.title}", file=sys.stderr, flush=True)
            found.append((case, _best_footprint(path, options.rounds)))
    print(scaling_report(found))


def _best_footprint(path: Path, rounds: int) -> Footprint:
    """The smallest time and the largest memory of the rounds."""
    runs = []
    for _ in range(rounds):
        warm(path)
        runs.append(footprint(NCCLI, LARGEST, path))
    return Footprint(
        seconds=min(run.seconds for run in runs), peak_bytes=max(run.peak_bytes for run in runs)
    )


if __name__ == "__main__":
    main()
