"""Any order of publishing, killing, sweeping, deleting and following keeps what was published."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_publishing import Counted, die, in_child
from trials import content, save, tries, verified

from nccli.errors import InputError
from nccli.publish import sweep_temporaries
from nccli.runs import expand, find_runs, read_log, read_run, write_run_file


class RunDirectory(RuleBasedStateMachine):
    """A model of what is on the disk beside the disk."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.run = self.root / "run"
        self.published = {}
        self.status = None
        self.lines = 0

    def teardown(self):
        shutil.rmtree(self.root)

    def place(self, epoch):
        return self.run / "checkpoints" / f"epoch-{epoch:05}.h5"

    @initialize()
    def create(self):
        (self.run / "checkpoints").mkdir(parents=True)

    @rule(epoch=st.integers(1, 5))
    def publish(self, epoch):
        save(self.place(epoch), epoch=epoch)
        self.published[epoch] = content(self.place(epoch))

    @rule(status=st.sampled_from(["running", "finished", "failed"]))
    def say(self, status):
        write_run_file(self.run, {"status": status})
        self.status = status

    @rule(epoch=st.integers(1, 5), call=st.integers(1, 20))
    def kill_while_publishing(self, epoch, call):
        def work():
            Counted(call, die).install()
            save(self.place(epoch), epoch=epoch, seed=7)  # not what is there already
            return 0

        status = in_child(work)
        assert status in (0, -signal.SIGKILL)
        if self.place(epoch).exists():
            found = content(self.place(epoch))
            if status == 0 or found != self.published.get(epoch):
                assert found[0].seed == 7
            self.published[epoch] = found

    @rule()
    def sweep(self):
        sweep_temporaries(self.run / "checkpoints")
        left = {path.name for path in (self.run / "checkpoints").iterdir()}
        assert left == {self.place(epoch).name for epoch in self.published}

    @precondition(lambda self: self.published)
    @rule(data=st.data())
    def delete(self, data):
        epoch = data.draw(st.sampled_from(sorted(self.published)))
        self.place(epoch).unlink()
        del self.published[epoch]

    @rule(torn=st.booleans())
    def log(self, torn):
        with (self.run / "log.jsonl").open("a") as file:
            if torn:
                file.write('{"epoch": 1, "lo')
                file.flush()
                os.ftruncate(file.fileno(), file.tell() - len('{"epoch": 1, "lo'))
            else:
                file.write('{"epoch": 1}\n')
                self.lines += 1

    @invariant()
    def all_that_was_published_is_there_and_nothing_else(self):
        found = read_run(self.run)
        assert [path.name for path in found.checkpoints] == [
            self.place(epoch).name for epoch in sorted(self.published)
        ]
        for epoch, path in zip(sorted(self.published), found.checkpoints, strict=True):
            assert verified(path)
            assert content(path) == self.published[epoch]
        assert found.status == self.status
        assert len(read_log(self.run)) == self.lines
        assert find_runs(self.root) == [self.run]
        named = expand([str(self.root)])
        assert len([item for item in named if not isinstance(item, InputError)]) == len(
            self.published
        )


RunDirectory.TestCase.settings = settings(
    max_examples=tries(15, 200),
    stateful_step_count=tries(12, 40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRunDirectory = RunDirectory.TestCase
