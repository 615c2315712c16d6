"""How fast `nccli.calibration` is: `python tests/benchmarks/calibration/run.py [--help]`.

All contenders side by side in one process, on one thread: the best CPU time of some rounds, and
nccli's share of it. The logits are generated on the spot (seeded), float32, in memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
from importlib import metadata

PATIENCE = 10.0  # CPU seconds: who takes longer runs once
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("numpy", "torch", "torchmetrics", "netcal", "uncertainty-calibration", "scikit-learn")


def main() -> None:
    options = _options()
    _one_thread()
    import warnings

    from contenders import CONTENDERS
    from data import QUICK, SIZES, make

    warnings.simplefilter("ignore")  # peers', about their own futures
    print(_versions())
    for row in CONTENDERS:
        if not row.is_there:
            print(f"{row.task}: {row.name} is left out, it needs {', '.join(row.needs)}")
    for name, shape in (QUICK if options.quick else SIZES).items():
        if name not in options.cases:
            continue
        data = make(*shape)
        print(f"\n{name}: N={shape[0]:,} K={shape[1]}")
        print(f"  {'task':<14} {'contender':<46} {'CPU s':>9} {'x nccli':>8}  values")
        rows = [row for row in CONTENDERS if row.is_there]
        if options.skip:
            rows = [row for row in rows if options.skip not in row.name]
        times, values = _race(rows, data, options.rounds)
        for row in rows:
            ours = times[row.task, "nccli" if row.task != "one pass" else row.name]
            ratio = times[row.task, row.name] / ours
            told = " ".join(f"{value:.6g}" for value in values[row.task, row.name])
            spent = times[row.task, row.name]
            print(f"  {row.task:<14} {row.name:<46} {spent:9.4f} {ratio:8.1f}  {told}")
        floor = times["one pass", "exp, float32"]
        print(
            f"  four metrics take {times['four metrics', 'nccli'] / floor:.1f} exponential passes"
        )
        for row in rows:
            if row.name == "nccli":
                print(f"  {row.task}: {_extra_bytes(row, data) / 2**20:.1f} MiB beside the logits")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default="ABC", help="which of A to C to run (default: ABC)")
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke run")
    parser.add_argument("--skip", default="", help="leave out contenders with this in their name")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, the best counts (5)")
    return parser.parse_args()


def _one_thread() -> None:
    """Set the libraries' threads before they are imported: start anew where they are not set."""
    if any(os.environ.get(name) != "1" for name in THREAD_VARIABLES):
        ones = dict.fromkeys(THREAD_VARIABLES, "1")
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ones)


def _race(rows, data, rounds):
    times, values = {}, {}
    for _ in range(rounds):
        for row in rows:
            key = row.task, row.name
            if times.get(key, 0.0) > PATIENCE:
                continue
            start = time.process_time()
            values[key] = row.run(data)
            spent = time.process_time() - start
            times[key] = min(times.get(key, spent), spent)
    return times, values


def _extra_bytes(row, data) -> int:
    tracemalloc.start()
    row.run(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join([f"Python {sys.version.split()[0]}", *found])


if __name__ == "__main__":
    main()
