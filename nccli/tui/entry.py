"""A run and what has been measured of it so far. Knows no Textual."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nccli.compare import Observation, Trajectory, trajectory
from nccli.identity import Identity
from nccli.runs import Run, epoch_of
from nccli.text import UNKNOWN, group_name
from nccli.tui.families import family_of

Outcome = Observation | str  # a string says why the file could not be measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """One file as it stood when it was listed; a file that is replaced becomes another Saved."""

    path: Path
    identity: Identity | None

    @classmethod
    def at(cls, path: Path) -> Saved:
        """List a file; one that has just vanished keeps no identity."""
        try:
            return cls(path=path, identity=Identity.of(path))
        except OSError:
            return cls(path=path, identity=None)

    @property
    def epoch(self) -> int | None:
        """The epoch that the file's name tells."""
        return epoch_of(self.path)


class Entry:
    """A run, its files by epoch, and the outcome of each that was measured.

    `observations` are what was measured, `epochs` what is saved and not known to be unreadable,
    `group` (CE, LS 0.05) and `seed` as the checkpoints say, else as run.json does.
    """

    def __init__(
        self,
        run: Run,
        files: Sequence[Saved],
        found: Mapping[Saved, Outcome] | None = None,
        *,
        standing: str | None = None,
    ) -> None:
        self.run = run
        self.standing = standing  # live, stale, finished, interrupted, failed
        self.key = run.path  # what tells this run from the others
        self.name = run.name
        self.parent = run.path.absolute().parent
        self.family = family_of(run)
        self.files = tuple(files)
        self.found: dict[Saved, Outcome] = dict(found or {})
        self._settle()

    def record(self, saved: Saved, outcome: Outcome) -> None:
        """Keep an outcome; where the file says no epoch, its name does."""
        if isinstance(outcome, Observation) and outcome.epoch is None:
            outcome = dataclasses.replace(outcome, epoch=saved.epoch)
        self.found[saved] = outcome
        self._settle()

    def _settle(self) -> None:
        """Work out once what is asked for at every stroke of a key."""
        known = [(saved, self.found.get(saved)) for saved in self.files]
        self.problems = [(saved, one) for saved, one in known if isinstance(one, str)]
        measured = [one for _, one in known if isinstance(one, Observation)]
        self.observations = sorted(measured, key=_epoch)
        self._order = [_epoch(one) for one in self.observations]
        epochs = {saved.epoch for saved, one in known if one is None}
        epochs |= {one.epoch for one in measured}
        self.epochs = sorted(epoch for epoch in epochs if epoch is not None)
        self.broken = [saved.epoch for saved, _ in self.problems if saved.epoch is not None]
        origin = trajectory(self.name, self.observations[-1:]) if measured else None
        self.group = _recorded_group(self.run)
        if origin is not None and (self.group is None or origin.group != UNKNOWN):
            self.group = origin.group  # of a file without results only run.json tells
        self.seed = _recorded_seed(self.run) if origin is None else origin.seed

    def up_to(self, epoch: int | None) -> list[Observation]:
        """The observations of an epoch and before it; all of them for None."""
        return self.observations[: self._count(epoch)]

    def at(self, epoch: int | None) -> Observation | None:
        """What was measured at an epoch, or at the last one saved before it."""
        count = self._count(epoch)
        return self.observations[count - 1] if count else None

    def _count(self, epoch: int | None) -> int:
        if epoch is None:
            return len(self.observations)
        return bisect.bisect_right(self._order, epoch)

    def file_at(self, epoch: int | None) -> Saved | None:
        """The file that `at` reads."""
        observation = self.at(epoch)
        if observation is None:
            return None
        return next((one for one in self.files if self.found.get(one) is observation), None)

    def saved_at(self, epoch: int | None) -> Saved | None:
        """The last file up to an epoch that is not known to be unreadable."""
        usable = [one for one in self.files if not isinstance(self.found.get(one), str)]
        known = [one for one in usable
                 if epoch is None or one.epoch is None or one.epoch <= epoch]  # fmt: skip
        return known[-1] if known else None

    def trajectory(self, epoch: int | None) -> Trajectory | None:
        """The run as the comparison sees it, up to an epoch; None where nothing is measured."""
        found = self.up_to(epoch)
        return trajectory(self.name, found) if found else None


def _epoch(observation: Observation) -> int:
    return -1 if observation.epoch is None else observation.epoch


def _recorded_group(run: Run) -> str | None:
    loss, delta = run.settings.get("loss"), run.settings.get("label_smoothing")
    if not isinstance(loss, str):
        return None
    try:
        return group_name(loss, float(delta) if isinstance(delta, (int, float)) else None)
    except OverflowError:  # a whole number of hundreds of digits
        return group_name(loss, None)


def _recorded_seed(run: Run) -> int | None:
    seed = run.settings.get("seed")
    return seed if isinstance(seed, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that differ by their seed only: one marker, one colour."""

    name: str
    kind: int
    entries: tuple[Entry, ...]

    def values(self, key: str, epoch: int | None) -> list[float]:
        """A number at an epoch, of every run that has it."""
        seen = [entry.at(epoch) for entry in self.entries]
        found = [one.value(key) for one in seen if one is not None]
        return [value for value in found if value is not None]

    def value(self, key: str, epoch: int | None) -> float | None:
        """Its mean over the runs."""
        values = self.values(key, epoch)
        return sum(values) / len(values) if values else None

    def trajectories(self, epoch: int | None) -> list[Trajectory]:
        """The runs as the comparison sees them."""
        seen = [entry.trajectory(epoch) for entry in self.entries]
        found = [one for one in seen if one is not None]
        seeds = [one.seed for one in found]
        # two runs of one seed are no two samples: neither is paired with a run of the other loss
        return [
            one if seeds.count(one.seed) == 1 else dataclasses.replace(one, seed=None)
            for one in found
        ]

    def heading(self, epoch: int | None) -> str:
        """The group's name, and the epoch it is read at where that is an earlier one."""
        seen: Sequence[Observation | None] = [entry.at(epoch) for entry in self.entries]
        read = {one.epoch for one in seen if one is not None} - {epoch}
        if not read or epoch is None:
            return self.name
        return f"{self.name} @{'/'.join(str(one) for one in sorted(read, key=str))}"
