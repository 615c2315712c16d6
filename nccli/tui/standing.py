"""How a run stands: live, stale, finished, interrupted or failed.

`run.json` says only what its writer has told: one that was killed leaves "running" behind. So a
run that says that and has shown no sign of life for long is stale.
"""

from __future__ import annotations

from collections.abc import Sequence

from nccli.runs import LOG_FILE, RUN_FILE, Run
from nccli.tui.entry import Saved

QUIET_SECONDS = 600.0  # silence from which on a run may be dead; our own choice
QUIET_GAPS = 3  # ... but not before as many times the time between its last two checkpoints
SIGNS = {"live": "●", "stale": "◌", "finished": "■", "interrupted": "□", "failed": "✗"}
SEVEN_BIT_SIGNS = {"live": "*", "stale": "?", "finished": "=", "interrupted": "-", "failed": "x"}


def standing(run: Run, files: Sequence[Saved], *, now: float) -> str | None:
    """`live`, `stale`, or what run.json says; None where it does not. `now`: seconds since 1970."""
    if run.status != "running":
        return run.status
    saved = sorted(one.identity.modified_ns / 1e9 for one in files if one.identity is not None)
    last = max([*saved[-1:], *_written(run)], default=now)
    gap = saved[-1] - saved[-2] if len(saved) > 1 else 0.0
    return "stale" if now - last > max(QUIET_SECONDS, QUIET_GAPS * gap) else "live"


def _written(run: Run) -> list[float]:
    """When the log and run.json were last written to."""
    times = []
    for name in (LOG_FILE, RUN_FILE):
        try:
            times.append((run.path / name).stat().st_mtime)
        except OSError:
            continue
    return times
