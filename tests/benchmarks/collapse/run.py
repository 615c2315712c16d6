"""How fast `nccli.collapse.analyze` is: `python tests/benchmarks/collapse/run.py [--help]`.

One table, all contenders side by side in one run: single-thread CPU time, files in the page
cache. `--scaling` shows that time is linear in N and memory does not grow, up to ImageNet's size.
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

from contenders import NCCLI, Contender, contenders
from data import FULL, QUICK, Case, warm, write_case
from measure import Footprint, footprint, race
from report import NOTES, machine, scaling_report, table
from truth import truth

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
SCALING_SIZES = (20_000, 80_000, 320_000, 1_300_000)  # the last one is ImageNet's
SCALING_SHAPE = {"dim": 2048, "num_classes": 1000}
QUICK_SIZES = (2_000, 8_000, 32_000)
QUICK_SHAPE = {"dim": 64, "num_classes": 20}


def main() -> None:
    options = _options()
    _one_blas_thread()
    print(machine())
    if options.scaling:
        _scaling(options)
        return
    print(NOTES.format(rounds=options.rounds))
    for case in QUICK if options.quick else FULL:
        if case.name in options.cases:
            _compare(replace(case, noise=options.noise), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--cases", default="ABC", help="which of A, B, C to run (default: ABC)")
    add("--noise", action="store_true", help="the less collapsed variant of the features")
    add("--quick", action="store_true", help="small sizes: a smoke run of seconds")
    add("--rounds", type=int, default=3, help="runs of each contender, the best counts (3)")
    add("--torch", action="store_true", help="also the yardstick in torch, as the original is")
    add("--memory", action="store_true", help="also peak memory, each in a process of its own")
    add("--scaling", action="store_true", help="nccli alone over growing N instead of the table")
    add("--max-n", type=int, default=SCALING_SIZES[-1], help="largest N of --scaling (1300000)")
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


# --- the table ----------------------------------------------------------------------------------


def _compare(case: Case, options: argparse.Namespace) -> None:
    rows = contenders(with_torch=options.torch)
    with _written(case, options.dir) as path:
        timings = race(rows, path, rounds=options.rounds)
        peaks = _peaks(rows, path) if options.memory else {}
        print(table(case, timings, truth(path), peaks), flush=True)


def _peaks(rows: list[Contender], path: Path) -> dict[str, Footprint]:
    return {row.name: footprint(row.name, path) for row in rows}


# --- growing N ----------------------------------------------------------------------------------


def _scaling(options: argparse.Namespace) -> None:
    sizes, shape = (QUICK_SIZES, QUICK_SHAPE) if options.quick else (SCALING_SIZES, SCALING_SHAPE)
    found: list[tuple[Case, Footprint]] = []
    for count in sizes:
        if count > options.max_n:
            continue
        case = Case(name="scaling", count=count, noise=options.noise, **shape)
        with _written(case, options.dir) as path:
            print(f"  measuring {case.title}", file=sys.stderr, flush=True)
            found.append((case, _best_footprint(path, options.rounds)))
    print(scaling_report(found))


def _best_footprint(path: Path, rounds: int) -> Footprint:
    """The smallest time and the largest memory of the rounds."""
    runs = []
    for _ in range(rounds):
        warm(path)
        runs.append(footprint(NCCLI, path))
    return Footprint(
        seconds=min(run.seconds for run in runs), peak_bytes=max(run.peak_bytes for run in runs)
    )


if __name__ == "__main__":
    main()
