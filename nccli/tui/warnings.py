"""What to beware of in the picked runs: unreadable files, silent runs, notes of the analyses."""

from __future__ import annotations

from collections.abc import Iterator

from nccli.text import plural
from nccli.tui.entry import Entry
from nccli.tui.number_table import Detail, Numbers
from nccli.tui.palette import tint
from nccli.tui.rows import Column
from nccli.tui.state import State

PARTS = ("train", "test", "calibration", "hessian")


def warnings_table(state: State) -> Numbers:
    """One row a warning, the runs it concerns counted; none where there is nothing to say."""
    found: dict[str, list[str]] = {}
    for entry in state.picked:
        for text in dict.fromkeys(_warnings(state, entry)):
            found.setdefault(text, []).append(entry.name)
    sign = "!"  # triangles mark runs
    title = plural(len(found), "warning")
    return Numbers(
        columns=[Column(title=title, align="left"), Column(title="", align="left", elastic=True)],
        cells=[
            [(f"{sign} {_who(names)}", tint(state.look, "trouble")), (text, "")]
            for text, names in found.items()
        ],
        exact=lambda: [{"runs": _who(names), "warning": text} for text, names in found.items()],
        details=[
            Detail(title=text, facts=[("run", name) for name in names])
            for text, names in found.items()
        ],
    )


def _warnings(state: State, entry: Entry) -> Iterator[str]:
    if entry.run.problem:
        yield entry.run.problem.removeprefix(f"{entry.key}/")
    if _has_twin(state, entry):
        yield f"another picked run of {entry.group} has seed {entry.seed} too: they are not paired"
    if entry.standing == "stale":
        yield "says that it is running, but has written nothing for long: it may have died"
    if entry.standing == "failed":
        yield f"failed: {entry.run.record.get('message') or 'run.json does not say why'}"
    for saved, why in entry.problems:
        yield f"{saved.path.name}: {why.removeprefix(f'{saved.path}: ')}"
    observation = entry.at(state.epoch)
    for part in PARTS:
        report = None if observation is None else getattr(observation, part)
        yield from (f"{part}: {note}" for note in (report.notes if report is not None else ()))


def _has_twin(state: State, entry: Entry) -> bool:
    if entry.seed is None:
        return False
    same = (entry.family, entry.group, entry.seed)
    return [(one.family, one.group, one.seed) for one in state.picked].count(same) > 1


def _who(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} runs"
