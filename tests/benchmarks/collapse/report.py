"""What is printed: the machine, the table of a case, the table and chart of growing N."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import h5py
import numpy as np
from contenders import FLOORS, PEER, PEER_TORCH
from data import Case
from measure import Footprint, Timing
from yardsticks import Metrics

from nccli.charts import Series, line_chart

PEERS = {PEER: "x rhubarbwu", PEER_TORCH: "x its torch"}
GEOMETRY = ("nc2_features", "nc2_classifier", "nc2_duality", "nc3")
NOTES = """\
CPU s: user + system time of one thread, the smallest of {rounds} interleaved rounds, file in page
cache. x floor: against the smaller of the two floors. x rhubarbwu: how many times faster than our
restatement of that library's published algorithm, in numpy where theirs is torch and without its
bookkeeping; --torch adds the whole of it in torch, with its SHA-256 of the means on every batch.
Its NC4 ignores the bias. "nccli without loss" leaves out loss and non-target spread, which none
of the others computes. Errors are relative to float64; NC4 stands as it is. Peak MB: anonymous
memory above the start, in a process of its own (--memory).
"""


def machine() -> str:
    """What a reader needs in order to judge the times, and nothing that names the machine."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs ({platform.machine()}), "
        f"{memory:.0f} GiB, load {load}\n"
        f"Python {platform.python_version()}, numpy {np.__version__} with {blas['name']} "
        f"{blas['version']}, h5py {h5py.__version__}\n"
    )


# --- one case -----------------------------------------------------------------------------------


def table(
    case: Case, timings: Sequence[Timing], right: Metrics, peaks: Mapping[str, Footprint]
) -> str:
    """The rows of one case; `peaks` may be empty, then memory was not measured."""
    seconds = {timing.name: timing.seconds for timing in timings}
    floor = min(seconds[name] for name in FLOORS)
    peers = {name: label for name, label in PEERS.items() if name in seconds}
    labels = "".join(f"{label:>12}" for label in peers.values())
    lines = [
        case.title,
        f"   in float64: NC1 {right['nc1']:.6g}, NC4 {right['nc4']:.6g}",
        f"{'contender':22} {'CPU s':>8} {'x floor':>8}{labels} {'peak MB':>8} "
        f"{'NC1 error':>10} {'NC2-3 err':>10} {'NC4':>9}",
    ]
    for timing in timings:
        ratios = "".join(f"{seconds[name] / timing.seconds:12.1f}" for name in peers)
        lines.append(
            f"{timing.name:22} {timing.seconds:8.4f} {timing.seconds / floor:8.2f}{ratios} "
            f"{_megabytes(peaks.get(timing.name))} {_errors(timing.scores, right)}"
        )
    return "\n".join(lines) + "\n"


def _megabytes(run: Footprint | None) -> str:
    return f"{'-':>8}" if run is None else f"{run.peak_bytes / 1e6:8.1f}"


def _errors(scores: Metrics, right: Metrics) -> str:
    if not scores:
        return f"{'-':>10} {'-':>10} {'-':>9}"
    geometry = max(_relative(scores[name], right[name]) for name in GEOMETRY)
    return f"{_relative(scores['nc1'], right['nc1']):10.1e} {geometry:10.1e} {scores['nc4']:9.6f}"


def _relative(value: float, right: float) -> float:
    return abs(value - right) / abs(right)


# --- growing N ----------------------------------------------------------------------------------


def scaling_report(found: Sequence[tuple[Case, Footprint]]) -> str:
    """CPU time, time per million samples and memory by N, as a table and a chart."""
    if not found:
        return "no size is within --max-n"
    case = found[0][0]
    lines = [
        f"nccli, d={case.dim} K={case.num_classes}, float32; each N in processes of its own",
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
