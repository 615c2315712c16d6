"""What is printed: the machine, the table of a task, what was reached, the chart of growing N."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from data import Case
from measure import Footprint, Timing
from tasks import NCCLI, Task

from nccli.charts import Series, line_chart

Aim = tuple[str, str, str, bool | None]  # measure, reached, wanted, met
PACKAGES = ("numpy", "scipy", "h5py", "torch", "curvlinops-for-pytorch")
NOTES = """\
The W block (loss only, bias held fixed) of the same saved features for all. CPU s: user + system
time of one thread, reading included, the smallest of at most {rounds} interleaved runs, file in
page cache; who takes over {patience:.0f} s runs once. x nccli: how many times longer. Error:
relative to a literal float64 implementation, the largest of the numbers asked for. PyHessian: its
published algorithms and defaults, stated anew in torch (its release fails on torch >= 2).
curvlinops: GGNLinearOperator with scipy's eigsh, float32; for the trace, ten probes at a time
until the mean settles as PyHessian's does. Both get batches of {batch:,} rows, as their users have
them, and once more of {large:,} ("large batches"), where both are about fastest.
A density's error is that of the trace it implies: chance, of one probe (nccli: {probes} probes
side by side, a quarter of their time counts). Peak MB: anonymous memory above the start, in a
process of its own.
"""


def machine() -> str:
    """What a reader needs in order to judge the times, and nothing that names the machine."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs ({platform.machine()}), "
        f"{memory:.0f} GiB, load {load}\n"
        f"Python {platform.python_version()}, {versions}; {blas['name']} {blas['version']}\n"
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


# --- one task -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A task as it was measured; `peaks` is empty where memory was not."""

    task: Task
    timings: Sequence[Timing]
    right: Sequence[float]
    doubt: float
    peaks: Mapping[str, Footprint]

    @property
    def seconds(self) -> dict[str, float]:
        """CPU seconds by contender."""
        return {timing.name: timing.seconds for timing in self.timings}

    def error(self, timing: Timing) -> float:
        """The largest relative error of a contender's numbers."""
        pairs = zip(timing.values, self.right, strict=True)
        return max(abs(value - right) / abs(right) for value, right in pairs)


def table(result: Result) -> str:
    """The rows of one task."""
    task, own = result.task, result.seconds[NCCLI]
    lines = [
        f"{task.name}: {task.title}, {task.case.title}",
        f"   in float64: {_shortened(result.right)}; mean 1 - p_top {result.doubt:.1e}",
        f"{'contender':25} {'CPU s':>9} {'runs':>5} {'x nccli':>8} {'error':>9} {'peak MB':>9} "
        f"{'x features':>10}",
    ]
    for timing in result.timings:
        lines.append(
            f"{timing.name:25} {timing.seconds:9.4f} {timing.runs:5d} {timing.seconds / own:8.1f} "
            f"{result.error(timing):9.1e} {_memory(result.peaks.get(timing.name), task.case)}"
        )
    return "\n".join(lines) + "\n"


def _shortened(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.9g}"
    return f"{values[0]:.9g} ... {values[-1]:.9g}"


def _memory(run: Footprint | None, case: Case) -> str:
    if run is None:
        return f"{'-':>9} {'-':>10}"
    return f"{run.peak_bytes / 1e6:9.1f} {run.peak_bytes / case.nbytes:10.2f}"


# --- what was reached ---------------------------------------------------------------------------


def summary(results: Sequence[Result]) -> str:
    """Every aim, what was reached, and whether that is enough; rows for a README."""
    lines = ["| task | measure | reached | wanted | met |", "|---|---|--:|--:|---|"]
    for result in results:
        task = result.task
        name = f"{task.title}, {task.case.title.removesuffix(' float32')}"
        for measure, reached, wanted, met in _aims(result):
            lines.append(f"| {name} | {measure} | {reached} | {wanted} | {_yes(met)} |")
    return "\n".join(lines) + "\n"


def _aims(result: Result) -> Iterator[Aim]:
    task, seconds = result.task, result.seconds
    for peer in seconds:
        if peer != NCCLI:
            yield _speed(peer, seconds[peer] / seconds[NCCLI], task.faster.get(peer))
    if task.error is not None:
        error = next(result.error(timing) for timing in result.timings if timing.name == NCCLI)
        yield "relative error", f"{error:.0e}", f"<= {task.error:.0e}", error <= task.error
    if task.memory is not None and NCCLI in result.peaks:
        share = result.peaks[NCCLI].peak_bytes / task.case.nbytes
        wanted_share = f"<= {task.memory:g} x features"
        yield "extra memory", f"{share:.2f} x features", wanted_share, share <= task.memory


def _speed(peer: str, ratio: float, wanted: float | None) -> Aim:
    measure, reached = f"faster than {peer}", f"{ratio:.1f} x"
    if wanted is None:
        return measure, reached, "-", None
    return measure, reached, f">= {wanted:g} x", ratio >= wanted


def _yes(met: bool | None) -> str:
    return "-" if met is None else "yes" if met else "no"


# --- growing N ----------------------------------------------------------------------------------


def scaling_report(found: Sequence[tuple[Case, Footprint]]) -> str:
    """CPU time, time per million samples and memory by N, as a table and a chart."""
    if not found:
        return "no size is within --max-n"
    case = found[0][0]
    lines = [
        f"nccli, largest eigenvalue of the W block, d={case.dim} K={case.num_classes}, float32; "
        "each N in processes of its own",
        f"{'N':>10} {'file GB':>8} {'CPU s':>9} {'s per million':>14} {'peak MB':>8}",
    ]
    for case, run in found:
        lines.append(
            f"{case.count:10,} {case.nbytes / 1e9:8.2f} {run.seconds:9.2f} "
            f"{1e6 * run.seconds / case.count:14.1f} {run.peak_bytes / 1e6:8.1f}"
        )
    return "\n".join([*lines, "", _chart(found)])


def _chart(found: Sequence[tuple[Case, Footprint]]) -> str:
    counts = [case.count for case, _ in found]
    measured = [run.seconds for _, run in found]
    line = [measured[-1] * count / counts[-1] for count in counts]
    return line_chart(
        [
            Series(label="CPU s", x=counts, y=measured, kind=0),
            Series(label="linear", x=counts, y=line, kind=1),
        ],
        title="CPU seconds by number of samples",
        width=90,
        height=18,
        x_label="samples",
        x_log=True,
    ).plain()
