"""The terminal UI over a run that is being written by another process, as fast as it can."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tui_runs import Driver, drive, make_run, save

from nccli.runs import checkpoint_path, write_run_file
from nccli.tui.measuring import Measurer

COUNT = 40
WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from tui_runs import save
from nccli.runs import write_run_file

run = Path({run!r})
slowest = 0.0
for epoch in range(2, {count} + 1):
    begin = time.perf_counter()
    save(run, epoch)
    write_run_file(run, {{"status": "running", "epochs_done": epoch}})
    slowest = max(slowest, time.perf_counter() - begin)
write_run_file(run, {{"status": "finished", "epochs_done": {count}}})
print(slowest)
"""


@contextmanager
def a_writer(run: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that publishes one checkpoint after the other; it ends with the block."""
    words = WRITER.format(tests=str(Path(__file__).parent), run=str(run), count=COUNT)
    writer = subprocess.Popen(
        [sys.executable, "-c", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with writer:
        try:
            yield writer
        finally:
            writer.kill()


@pytest.mark.parametrize("apart", [False, True])
def test_a_writer_that_is_followed_never_fails_and_all_it_saved_is_measured(tmp_path, apart):
    run = make_run(tmp_path / "ce", epochs=(1,), status="running")

    async def session(ui: Driver) -> None:
        assert ui.state.follow
        with a_writer(run) as writer:  # from now on: a fast one may end before the UI is there
            await ui.until(lambda: writer.poll() is not None, seconds=120)
            _, problems = writer.communicate()
            assert writer.returncode == 0, problems
        await ui.until(lambda: ui.app.idle and len(ui.state.epochs) == COUNT, seconds=120)
        assert ui.state.epoch == COUNT  # the cursor was at the end, and stayed there
        assert len(ui.state.picked[0].observations) == COUNT
        assert not ui.state.picked[0].problems
        await ui.sees("finished")

    drive(tmp_path, session, follow_seconds=0.02, measurer=Measurer(apart=apart, cached=True))


def test_no_file_is_open_once_it_has_been_read(tmp_path):
    run = make_run(tmp_path / "ce", epochs=(1, 2), status="running")

    async def session(ui: Driver) -> None:
        await ui.press("6")
        await ui.until(lambda: ui.app.idle)
        held = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()]
        assert not [path for path in held if path.is_relative_to(tmp_path)]
        checkpoint_path(run, 2).unlink()
        save(run, 3)
        write_run_file(run, {"status": "failed", "message": "loss is nan"})
        await ui.until(lambda: ui.app.idle and ui.state.epochs == [1, 3])
        await ui.press("1")
        await ui.sees("failed: loss is nan")

    drive(tmp_path, session, follow_seconds=0.02)
