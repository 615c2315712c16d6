"""What the screen shows: runs, picks, the epoch cursor, switches. Knows no Textual.

Only the app's handlers change it; widgets read it.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nccli.charts import Look
from nccli.runs import Run
from nccli.trajectory import Observation
from nccli.tui.defaults import BASELINE, default_picks, grow_by_factors
from nccli.tui.entry import Entry, Group, Saved
from nccli.tui.families import Family, unique_names
from nccli.tui.findings import Job, Kind, Outcome
from nccli.tui.shelf import Shelf
from nccli.tui.view import TABS, View

__all__ = ["TABS", "Listed", "State"]

Made = TypeVar("Made")

MANY_CLASSES = 100  # from here on the angles of a group are those of its first run
MANY_RUNS = 20  # from here on no angles are read ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A run directory as a scan found it."""

    run: Run
    files: tuple[Saved, ...]
    standing: str | None = None


class State:
    """Everything that is not drawing."""

    def __init__(
        self,
        *,
        look: Look = Look(),  # noqa: B008 - frozen
        view: View | None = None,
        chosen: Sequence[str] = (),
        epoch: int | None = None,
        rival: str | None = None,
    ) -> None:
        self.look = look
        self.view = view or View()
        self.entries: dict[Path, Entry] = {}
        self.picks: set[Path] = set()  # the runs that are shown
        self.picked: list[Entry] = []  # the same, in the order of the list
        self.groups: list[Group] = []  # the same by loss, cross-entropy first
        self.epochs: list[int] = []  # their saved epochs
        self.broken: list[int] = []  # those at which a file could not be read
        self.scanned = False
        self.problem: str | None = None  # why the paths could not be listed
        self.follow = False
        self.filter = ""
        self.measuring: Job | None = None
        self._asked_for = set(chosen)  # names of the runs to begin with
        self._shelf = Shelf()
        self._latest: dict[tuple[Kind, Path], Outcome] = {}  # of each run, for the open tab
        self._memo: dict[Hashable, Any] = {}
        self._last: dict[Hashable, tuple[Hashable, Any]] = {}
        self._begun_with: set[tuple[Family, str | None]] = set()
        self._listed: Sequence[Listed] = ()
        self._rival = 0  # of those beside the first group
        self._rival_asked_for = rival
        self._file = 0
        self._chosen: set[Path] | None = None  # None: the default picks
        self._cursor: int | None = epoch  # None: at the end
        self._kinds: dict[tuple[Family, str], int] = {}

    # --- runs -----------------------------------------------------------------------------------

    def absorb(self, listed: Sequence[Listed], problem: str | None = None) -> bool:
        """Take over what a scan found, and tell whether it is anything new.

        Outcomes of files that are unchanged are kept.
        """
        if self.scanned and (listed, problem) == (self._listed, self.problem):
            return False
        before, self.entries = self.entries, {}
        self._listed, self.problem = listed, problem
        for one in listed:
            self.entries[one.run.path] = _entry(one, before.get(one.run.path))
        if not self.scanned:
            self._begin()
        self.scanned = True
        self._settle()
        return True

    def _begin(self) -> None:
        """What the first listing decides."""
        if any(one.standing == "live" for one in self.entries.values()):
            self.follow = True  # a run that still trains is what one wants to watch
        if self._asked_for:
            self._chosen = {one.key for one in self.entries.values() if one.name in self._asked_for}

    def record(self, done: Iterable[tuple[Job, Outcome]]) -> None:
        """Keep what jobs have found out of runs that are still listed."""
        self.measuring = None
        measured = False
        asked = list(self.asked())
        wanted = {(kind, saved) for kind, _, saved in asked}
        for job, outcome in done:
            if job.kind != "observation":
                self._shelf.put((job.kind, job.saved), outcome, wanted=wanted)
                if not isinstance(outcome, str):
                    self._latest[job.kind, job.run] = outcome
            elif isinstance(outcome, (Observation, str)) and job.run in self.entries:
                self.entries[job.run].record(job.saved, outcome)
                measured = True
        shown = {(kind, entry.key) for kind, entry, _ in asked}
        self._latest = {key: one for key, one in self._latest.items() if key in shown}
        if measured:
            self._settle()

    def last(self, name: Hashable, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made last under a name, made anew for another key: one of each is kept."""
        if name not in self._last or self._last[name][0] != key:
            self._last[name] = (key, make())
        found: Made = self._last[name][1]
        return found

    def memo(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made of the data, made once until they change."""
        if key not in self._memo:
            self._memo[key] = make()
        found: Made = self._memo[key]
        return found

    # --- what is read when it is looked at ------------------------------------------------------

    def asked(self) -> Iterator[tuple[Kind, Entry, Saved]]:
        """What the open tab shows of single files at the cursor, and what a step would show."""
        if self.view.tab == "gram" and self.epochs:
            here = self.position
            for position in (here, here - 1, here + 1) if self._is_light() else (here,):
                if 0 <= position < len(self.epochs):
                    yield from self._angles_at(self.epochs[position])
        if self.view.tab == "files" and self.file_shown is not None:
            yield "contents", *self.file_shown
            yield "finding", *self.file_shown

    def _is_light(self) -> bool:
        """Whether angles are so few that those of the neighbours can be read ahead."""
        groups = [group for group in self.compared if group is not None]
        runs = sum(len(self.members(group)) for group in groups)
        return runs <= MANY_RUNS and all(self._is_small(group) for group in groups)

    def _angles_at(self, epoch: int) -> Iterator[tuple[Kind, Entry, Saved]]:
        for group in self.compared:
            for entry in self.members(group) if group is not None else ():
                saved = entry.saved_at(epoch)
                if saved is not None:
                    yield "angles", entry, saved

    def kept(self, kind: Kind, saved: Saved) -> Outcome | None:
        """What was found out of a file for the open tab; None before that."""
        return self._shelf.get((kind, saved))

    def latest(self, kind: Kind, entry: Entry) -> Outcome | None:
        """What was found out last of a run: it stands until the file at the cursor is read."""
        return self._latest.get((kind, entry.key))

    def members(self, group: Group) -> Sequence[Entry]:
        """The runs of a group whose angles are averaged."""
        return group.entries if self._is_small(group) else group.entries[:1]

    def _is_small(self, group: Group) -> bool:
        first = group.entries[0].at(self.epoch)
        report = None if first is None else first.train or first.test
        return report is None or report.num_classes <= MANY_CLASSES

    @property
    def files_to_show(self) -> list[tuple[Entry, Saved]]:
        """What `n` goes through on Files: each picked run's file at the cursor, then those of the
        picked runs that cannot be read, which the cursor passes over."""
        at, found = self.epoch, []
        for entry in (one for one in self.picked if one.files):
            known = [f for f in entry.files if at is None or f.epoch is None or f.epoch <= at]
            found.append((entry, (known or entry.files)[-1]))
        found += [(entry, saved) for entry in self.picked for saved, _ in entry.problems]
        return list(dict.fromkeys(found))

    @property
    def file_shown(self) -> tuple[Entry, Saved] | None:
        """The file of the Files tab, readable or not."""
        files = self.files_to_show
        return files[self._file % len(files)] if files else None

    def next_file(self) -> None:
        """The Files tab shows the next file."""
        self._file += 1

    def matching(self) -> list[Entry]:
        """The runs that the filter lets through: all its words occur in path, loss or status."""
        words = self.filter.casefold().split()
        entries = self.entries.values()
        return self.memo(
            ("matching", self.filter),
            lambda: [one for one in entries if all(word in _told(one) for word in words)],
        )

    # --- picks ----------------------------------------------------------------------------------

    def toggle(self, key: Path) -> None:
        """Pick a run, or unpick it."""
        self._chosen = self.picks ^ {key}
        self._settle()

    def _settle(self) -> None:
        """Work out once what every widget asks for."""
        entries = list(self.entries.values())
        chosen = self._default(entries) if self._chosen is None else self._chosen
        self.picks = chosen & set(self.entries)
        self.picked = [entry for entry in entries if entry.key in self.picks]
        self.broken = sorted({epoch for entry in self.picked for epoch in entry.broken})
        self.epochs = sorted({epoch for entry in self.picked for epoch in entry.epochs})
        self._memo.clear()
        self._last.clear()
        self._name_kinds()
        self.groups = self._grouped()

    def _default(self, entries: Sequence[Entry]) -> set[Path]:
        """The runs shown unasked; once there are two losses, no other takes their place."""
        if self._begun_with:
            entries = [one for one in entries if (one.family, one.group) in self._begun_with]
        found = default_picks(entries)
        groups = {(one.family, one.group) for one in entries if one.key in found}
        if self.scanned and len(groups) > 1:
            self._begun_with = groups
        return found

    def _grouped(self) -> list[Group]:
        members: dict[tuple[Family, str], list[Entry]] = {}
        for entry in self.picked:
            if entry.group is not None:
                members.setdefault((entry.family, entry.group), []).append(entry)
        names = unique_names(list(members))
        found = [
            Group(name=name, kind=self._kinds[key], entries=tuple(entries))
            for name, (key, entries) in zip(names, members.items(), strict=True)
        ]
        return sorted(found, key=lambda group: group.kind)

    @property
    def compared(self) -> tuple[Group | None, Group | None]:
        """The two groups that the tables compare: the first, and its current rival."""
        if not self.groups:
            return None, None
        first, *rivals = self.groups
        for index, group in enumerate(rivals):
            if group.name == self._rival_asked_for:
                self._rival, self._rival_asked_for = index, None
        return first, rivals[self._rival % len(rivals)] if rivals else None

    def next_rival(self) -> None:
        """Compare the first group with the next of the others."""
        self._rival += 1

    def kind_of(self, entry: Entry) -> int | None:
        """Marker and colour of a run; None until its loss is known."""
        return None if entry.group is None else self._kinds.get((entry.family, entry.group))

    def _name_kinds(self) -> None:
        """Give each new group its marker and colour, for good; cross-entropy has the first."""
        new = {(one.family, one.group) for one in self.entries.values() if one.group is not None}
        order = sorted(new - set(self._kinds), key=lambda key: (key[1] != BASELINE, key[1], key[0]))
        for key in order:
            taken = set(self._kinds.values())
            first = 0 if key[1] == BASELINE else 1
            self._kinds[key] = next(kind for kind in range(first, 10**6) if kind not in taken)

    # --- the epoch cursor -----------------------------------------------------------------------

    @property
    def epoch(self) -> int | None:
        """The epoch at the cursor; None where no epoch is known."""
        return self.epochs[self.position] if self.epochs else None

    @property
    def position(self) -> int:
        """The cursor's place among the saved epochs."""
        if self._cursor is None:
            return max(0, len(self.epochs) - 1)
        return max(0, bisect.bisect_right(self.epochs, self._cursor) - 1)

    @property
    def at_end(self) -> bool:
        """Whether the cursor is at the last saved epoch; put by a key it stays at the end."""
        return self._cursor is None or self.position >= len(self.epochs) - 1

    @property
    def epochs_log(self) -> bool:
        """Whether the axis of epochs is logarithmic; before the user chose: as they are spaced."""
        chosen = self.view.epochs_log
        return grow_by_factors(self.epochs) if chosen is None else chosen

    @property
    def window(self) -> tuple[float, float] | None:
        """The epochs in view; None where all are."""
        if self.epoch is None:
            return None
        first, last = float(self.epochs[0]), float(self.epochs[-1])
        return self.view.window(first, last, float(self.epoch), log=self.epochs_log)

    def go_to(self, position: int) -> None:
        """Put the cursor on a saved epoch, by its place; at the last one it stays at the end."""
        last = len(self.epochs) - 1
        self._cursor = None if position >= last else self.epochs[max(0, position)]


def _entry(listed: Listed, before: Entry | None) -> Entry:
    """A run with what is known of its files; the same object where nothing has changed."""
    now = (listed.run, listed.files, listed.standing)
    if before is not None and now == (before.run, before.files, before.standing):
        return before
    known = {} if before is None else before.found
    found = {saved: known[saved] for saved in listed.files if saved in known}
    return Entry(listed.run, listed.files, found, standing=listed.standing)


def _told(entry: Entry) -> str:
    words = (str(entry.key), entry.group or "", entry.standing or "")
    return " ".join(words).casefold()
