"""CPU time of short commands, side by side with bare Python: `python tests/benchmarks/startup.py`.

Budgets: --version 150 ms, --help 300 ms, analyze of a sample checkpoint 600 ms. User and system
time of the whole process; the smallest of the repetitions, because a shared machine only adds.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

REPETITIONS = 7
SAMPLE = Path(__file__).resolve().parents[2] / "sample_data/runs/digits-mlp-ce-s0@last"

COMMANDS = {
    "python -c pass": (None, ["-c", "pass"]),
    "nccli --version": (150, ["-m", "nccli", "--version"]),
    "nccli --help": (300, ["-m", "nccli", "--help"]),
    "nccli analyze SAMPLE": (600, ["-m", "nccli", "analyze", str(SAMPLE)]),
    "nccli analyze SAMPLE -f table": (600, ["-m", "nccli", "analyze", str(SAMPLE), "-f", "table"]),
    "nccli calibrate SAMPLE": (None, ["-m", "nccli", "calibrate", str(SAMPLE)]),
    "nccli hessian SAMPLE": (None, ["-m", "nccli", "hessian", str(SAMPLE)]),
}


def cpu_milliseconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    best = {name: float("inf") for name in COMMANDS}
    for _ in range(REPETITIONS):  # interleaved, so that a busy moment hits all alike
        for name, (_, arguments) in COMMANDS.items():
            best[name] = min(best[name], cpu_milliseconds(arguments))
    print(f"{'command':32} {'CPU ms':>8} {'x python':>9} {'budget':>8}")
    for name, (budget, _) in COMMANDS.items():
        ratio = best[name] / best["python -c pass"]
        print(f"{name:32} {best[name]:8.0f} {ratio:9.1f} {budget or '':>8}")


if __name__ == "__main__":
    main()
