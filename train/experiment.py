"""One run directory, end to end: settings in, checkpoints and a log out.

At a saved epoch the checkpoint is published first, then its log line, then the resume state: cut
anywhere, a run goes on from the last resume state and makes the same lines and files again.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import math
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nccli import collapse, hdf5
from nccli.checkpoint import Checkpoint
from nccli.errors import FormatError, Interrupted, TrainingError, UsageError
from nccli.publish import publish_bytes
from nccli.result import record
from nccli.run_lock import sole_writer
from nccli.runs import checkpoint_path
from nccli.text import file_size, plural
from train import rundir
from train.config import Settings
from train.data import load_data
from train.events import Event, OnEvent, ignore
from train.graphs import TURN
from train.interrupt import StopRequest, continuation
from train.loop import Capture, Classification, Trainer
from train.memory import is_out_of_memory, keep_freed_memory
from train.place import Place
from train.publisher import Background, Inline
from train.rundir import RESUME_FILE, Log, Record, Standing
from train.snapshot import checkpoint_bytes, holds, metadata_of, stored, too_few_features
from train.team import Team, teamwork
from train.ufm import UnconstrainedFeatures

TOLD_BYTES = 2**30  # of checkpoints, from which on a run tells what it will take
RESUME_SECONDS = 5.0  # at most this much training is lost to a kill between saved epochs


def run(
    settings: Settings,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    place: Place = Place(device="cpu"),  # noqa: B008 - frozen
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_event: OnEvent = ignore,
) -> Standing:
    """Train one run into the directory `path`; tells whether it was started, continued or done.

    With `resume` a run that was cut off goes on, on the CPU to the same bits, and a finished one
    is left alone. `should_stop` is asked after every epoch; without it Ctrl-C and SIGTERM stop
    the run. Raises UsageError (the run exists, or with other settings), TrainingError (diverged,
    disk full, resume state damaged) and Interrupted; run.json then says so too.
    """
    device = choose_device(place, settings)
    command = command or shlex.join(sys.argv)
    with contextlib.ExitStack() as stack:
        team = stack.enter_context(teamwork(device))
        standing: Standing = team.told(
            rundir.standing(path, settings, resume=resume, overwrite=overwrite)
            if team.writes
            else None
        )
        if standing is Standing.FINISHED:
            return standing
        stack.enter_context(_threads(place.threads))
        stack.enter_context(_memory_errors(path))
        trainer = make_trainer(settings, device=device, place=place, team=team)
        stop = should_stop or stack.enter_context(StopRequest())
        if not team.writes:
            team.told(None)  # until the directory is ready
            follow(settings, path, trainer, team, stop, resumed=standing is Standing.CONTINUE)
            return standing
        again = continuation(command, resume=resume)
        stack.enter_context(_disk_errors(path, again))
        stack.enter_context(sole_writer(path))
        if standing is Standing.START:
            rundir.clear(path)
        experiment = Experiment(
            settings,
            path,
            trainer,
            device=device,
            command=command,
            images=_images_of(trainer, place),
            on_event=on_event,
            # the CPU has nothing to do meanwhile where a GPU trains
            publisher=Background() if device == "cuda" else Inline(),
        )
        team.told(None)
        try:
            experiment.train(lambda: team.agree(stop()))
        except KeyboardInterrupt:
            raise experiment.interrupted(again) from None
    return standing


def follow(
    settings: Settings,
    path: Path,
    trainer: Trainer,
    team: Team,
    stop: Callable[[], bool],
    *,
    resumed: bool,
) -> None:
    """Train beside the process that writes the run; raises Interrupted when that one is stopped."""
    epoch = restored_epoch(path, trainer) if resumed else 0
    while epoch < settings.epochs:
        epoch += 1
        trainer.run_epoch(epoch)
        if team.agree(stop()) and epoch < settings.epochs:
            raise Interrupted(f"interrupted after epoch {epoch}", source=path)


def restored_epoch(path: Path, trainer: Trainer) -> int:
    """Put a trainer where its run was cut off; return how many epochs it has done.

    Raises FormatError on a resume state that is damaged.
    """
    state_file = path / RESUME_FILE
    if not state_file.exists():
        return 0
    try:
        state = torch.load(state_file, map_location="cpu", weights_only=True)
        trainer.restore(state["trainer"])
        return int(state["epoch"])
    except Exception as error:  # a damaged byte makes the unpickler raise anything
        if is_out_of_memory(error):
            raise
        raise _damaged(state_file, error) from None


class Experiment:
    """A trainer, its run directory, and how far it has come."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        trainer: Trainer,
        *,
        device: str,
        command: str,
        images: dict[str, str],
        on_event: OnEvent,
        publisher: Inline | Background,
    ) -> None:
        self.settings = settings
        self.path = path
        self.on_event = on_event
        self.publisher = publisher
        self.trainer = trainer
        rundir.check_same_images(path, images)
        self.epoch = restored_epoch(path, trainer)
        self.log = Log(path, keep_epochs=self.epoch)
        self.problems: dict[str, str] = {}  # what could not be saved, and why
        provenance = rundir.provenance(command=command, device=device, images=images)
        self.software = json.dumps(provenance["software"])
        self.record = Record(path, settings, provenance=provenance)
        self._check_space()
        if problem := too_few_features(trainer.sizes()):
            self._tell(note=problem)
        self.record.publish("running", epochs_done=self.epoch)
        self._saved_at = time.monotonic()

    def _check_space(self) -> None:
        """Tell what the checkpoints will take; raises TrainingError where the disk has less."""
        left = sum(epoch > self.epoch for epoch in self.settings.save_epochs)
        one = checkpoint_bytes(self.trainer.sizes(), self.settings.dtype)
        free = shutil.disk_usage(self.path).free
        words = f"{plural(left, 'checkpoint')} of {file_size(one)}"
        if left * one > free:
            raise TrainingError(
                f"{words} do not fit: {file_size(free)} are free",
                source=self.path,
                remedy="save fewer epochs (as log:10), as float16 or without logits, or write to "
                "another disk",
            )
        note = None
        if left * one > TOLD_BYTES:
            note = f"{words}: {file_size(left * one)} in all, {file_size(free)} are free"
        self._tell(note=note, needs=left * one)

    def train(self, stop: Callable[[], bool]) -> None:
        """Train to the last epoch; raises KeyboardInterrupt when asked to stop."""
        try:
            while self.epoch < self.settings.epochs:
                self._next_epoch()
                if stop() and self.epoch < self.settings.epochs:
                    self.publisher.submit(partial(self._publish_resume, self.epoch, self._state()))
                    self.publisher.drain()
                    raise KeyboardInterrupt
            self.publisher.drain()
            self._write_its_last()
        except Exception as error:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self.publisher.drain()
            self._end("failed", str(error) or type(error).__name__)
            raise
        lost = self._shortfall()
        self.record.publish("finished", epochs_done=self.epoch, message=lost)
        if lost:
            raise TrainingError(
                f"finished, but {lost}",
                source=self.path,
                remedy="make room; continuing the run then writes its last checkpoint"
                if self._lacks_its_last()
                else "starting it again writes what is lost",
            )

    def _write_its_last(self) -> None:
        """Save the last checkpoint where that failed, now or in the run that is continued."""
        if self.epoch == self.settings.save_epochs[-1] and self._lacks_its_last():
            self._publish_checkpoint(self.epoch, self._captured())

    def _lacks_its_last(self) -> bool:
        return not checkpoint_path(self.path, self.settings.save_epochs[-1]).exists()

    def _captured(self) -> Capture:
        return stored(self.trainer.capture(), dtype=self.settings.dtype, source=self.path)

    def _next_epoch(self) -> None:
        epoch = self.epoch + 1
        line: dict[str, Any] = {"epoch": epoch} | self.trainer.run_epoch(epoch)
        if not all(map(math.isfinite, line.values())):
            raise TrainingError(
                f"the loss is not finite in epoch {epoch}",
                source=self.path,
                remedy="lower the learning rate",
            )
        self.epoch = epoch
        capture = state = None
        if epoch in self.settings.save_epochs:
            capture = self._captured()
        if capture or time.monotonic() - self._saved_at > RESUME_SECONDS:
            state = self._state()
        self.publisher.submit(partial(self._publish, line, capture, state))
        self._tell()

    def _publish(
        self, line: dict[str, Any], capture: Capture | None, state: memoryview | None
    ) -> None:
        """Publish what an epoch leaves, in the order in which a resumed run relies on it."""
        epoch = line["epoch"]
        if capture is not None:
            line["metrics"] = self._publish_checkpoint(epoch, capture)
        self._note("the log", self.log.append(line))
        if state is not None:
            self._publish_resume(epoch, state)

    def _publish_checkpoint(self, epoch: int, capture: Capture) -> dict[str, Any]:
        """Publish a checkpoint; return the metrics of exactly the arrays it holds, by split."""
        parts: dict[str, Any] = {
            "splits": capture.splits,
            "weight": capture.weight,
            "bias": capture.bias,
            "metadata": metadata_of(
                self.settings,
                epoch=epoch,
                software=self.software,
                class_names=self.trainer.class_names,
            ),
        }
        target = checkpoint_path(self.path, epoch)
        problem: OSError | None = None
        try:
            if not holds(target, capture):
                hdf5.write_checkpoint(target, **parts)
        except OSError as error:
            problem = error
        self._note(f"the checkpoint of epoch {epoch}", problem)
        checkpoint = Checkpoint.from_arrays(**parts)
        return {
            split: record(collapse.analyze(checkpoint, split=split)) for split in capture.splits
        }

    def _state(self) -> memoryview:
        """What the next epoch depends on, as a file has it."""
        image = io.BytesIO()
        torch.save({"epoch": self.epoch, "trainer": self.trainer.state()}, image)
        self._saved_at = time.monotonic()
        return image.getbuffer()

    def _publish_resume(self, epoch: int, state: memoryview) -> None:
        """Publish what the next epoch depends on; a disk that is full only costs the point."""
        problem: OSError | None = None
        try:
            self.log.sync()
            publish_bytes(self.path / RESUME_FILE, state)
            self.record.publish("running", epochs_done=epoch)
        except OSError as error:
            problem = error
        self._note("the resume state", problem)

    def _note(self, what: str, error: OSError | None) -> None:
        """Remember and report, once, that something cannot be saved; training goes on."""
        if error is None:
            self.problems.pop(what, None)
            return
        if what in self.problems:
            return
        self.problems[what] = f"could not save {what} ({error.strerror or error})"
        self._tell(warning=f"{self.path}: {self.problems[what]}; training goes on")

    def _tell(
        self, *, warning: str | None = None, note: str | None = None, needs: int | None = None
    ) -> None:
        self.on_event(
            Event(
                run=self.path.name,
                epoch=self.epoch,
                epochs=self.settings.epochs,
                warning=warning if note is None else f"{self.path}: {note}",
                needs=needs,
            )
        )

    def interrupted(self, remedy: str) -> Interrupted:
        """Record that the run was stopped; return the error that names how to continue it."""
        with contextlib.suppress(Exception):  # what is being written would say it goes on
            self.publisher.drain()
        self._end("interrupted", "stopped by a signal")
        return Interrupted(
            f"interrupted after epoch {self.epoch} of {self.settings.epochs}",
            source=self.path,
            remedy=remedy,
        )

    def _end(self, status: str, message: str) -> None:
        with contextlib.suppress(OSError):  # why the run ends is the better thing to tell
            self.record.publish(status, epochs_done=self.epoch, message=message)

    def _shortfall(self) -> str | None:
        for epoch in self.settings.save_epochs:  # a failed save may lie before a resume
            if not checkpoint_path(self.path, epoch).exists():
                what = f"the checkpoint of epoch {epoch}"
                self.problems.setdefault(what, f"could not save {what}")
        return "; ".join(self.problems.values()) or None


def make_trainer(
    settings: Settings,
    *,
    device: str,
    place: Place,
    team: Team = Team(),  # noqa: B008 - frozen
) -> Trainer:
    """Return the trainer that the settings ask for; raises what loading its data raises."""
    if settings.data == "ufm":
        if not team.alone:
            raise UsageError("the ufm is trained by one process", remedy="leave out torchrun")
        return UnconstrainedFeatures(settings, device=device)
    team.check(settings.batch_size)
    if place.compiled and not team.alone:
        raise UsageError("--compile is for runs of one process", remedy="leave out torchrun")
    data = load_data(settings, root=place.data_root, download=place.download)
    graphs = place.cuda_graph and device == "cuda" and team.alone and not data.files
    with TURN if device == "cuda" else contextlib.nullcontext():
        # Trainers of runs that have ended are cycles, which else hold their part of the GPU until
        # the interpreter comes to look for them: lack of memory there does not call it.
        gc.collect()
        return Classification(
            settings, device=device, data=data, graphs=graphs, compiled=place.compiled, team=team
        )


def _images_of(trainer: Trainer, place: Place) -> dict[str, str]:
    """Whose images a run sees, where the name of the data set does not say."""
    if not trainer.images_digest:
        return {}
    return {"root": str(place.data_root.resolve()), "digest": trainer.images_digest}


def choose_device(place: Place, settings: Settings) -> str:
    """Return cpu or cuda. `auto` is cuda where there is one; the UFM, tiny, stays on the CPU.

    Raises UsageError where cuda is asked for and absent.
    """
    if place.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("PyTorch finds no CUDA device", remedy="choose --device cpu or auto")
    if place.device != "auto":
        return place.device
    return "cuda" if settings.data != "ufm" and torch.cuda.is_available() else "cpu"


def _damaged(path: Path, error: Exception) -> FormatError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return FormatError(f"cannot resume from it ({reason})", source=path, remedy=rundir.START_AGAIN)


@contextlib.contextmanager
def _disk_errors(path: Path, again: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"cannot write the run directory ({error.strerror or error})",
            source=path,
            remedy=f"check space and permissions, then {again}",
        ) from None


@contextlib.contextmanager
def _memory_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            "not enough memory",
            source=path,
            remedy="a smaller batch or network, fewer runs side by side (--jobs), or fewer "
            "training images",
        ) from None


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute on so many threads; on one the order of sums, and so every bit, stays the same."""
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
