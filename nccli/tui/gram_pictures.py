"""Cosines between classes as heatmaps: a group's runs averaged, or two groups subtracted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from nccli.charts import Chart
from nccli.export import Matrix, Plotted
from nccli.tui.entry import Group
from nccli.tui.findings import Angles
from nccli.tui.pictures import Picture, card, why_nothing
from nccli.tui.readings import run_labels
from nccli.tui.state import State

if TYPE_CHECKING:
    from nccli.tui.findings import Matrix as Values

Which = Literal["means", "classifier"]
WORDS: dict[Which, str] = {"means": "class means", "classifier": "classifier"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosines:
    """The (K, K) cosines of a group at the cursor, with the classes of their rows."""

    values: Values
    classes: tuple[int, ...]
    target: float | None
    runs: int
    largest: float  # |cosine| of a pair of classes


def gram_picture(state: State, which: Which, place: int) -> Picture:
    """The cosines of one of the compared groups; in the mode `difference` only one picture."""
    return Picture(
        draw=partial(_draw, state, which, place), plotted=partial(_plotted, state, which, place)
    )


def cosines(state: State, group: Group, which: Which) -> Cosines | str:
    """The mean over the group's runs; a text says why there is none."""
    key = (state.epoch, is_read(state, group))
    return state.last(("cosines", group.kind, which), key, lambda: _cosines(state, group, which))


def change(state: State, which: Which) -> Cosines | str:
    """The rival's cosines minus the first group's."""
    read = all(group is None or is_read(state, group) for group in state.compared)
    kinds = tuple(group.kind for group in state.compared if group is not None)
    return state.last(("change", which), (state.epoch, kinds, read), lambda: _change(state, which))


def _cosines(state: State, group: Group, which: Which) -> Cosines | str:
    found = []
    for entry in state.members(group):
        saved = entry.saved_at(state.epoch)
        if saved is None:
            return "no checkpoint up to this epoch"
        angles = state.kept("angles", saved) or state.latest("angles", entry)
        if not isinstance(angles, Angles):
            return "measuring" if angles is None else str(angles)
        found.append(angles)
    one = found[0]
    matrices = [m for m in (angles.means if which == "means" else angles.classifier
                            for angles in found) if m is not None]  # fmt: skip
    if len(matrices) < len(found):
        return "; ".join(one.notes) or "undefined here"
    if len({angles.classes for angles in found}) > 1 or len({len(m) for m in matrices}) > 1:
        return "the runs of this group have other classes"
    classes = one.classes if which == "means" else tuple(range(len(matrices[0])))
    values = _mean(matrices)
    return Cosines(
        values=values,
        classes=classes,
        target=one.target,
        runs=len(matrices),
        largest=_largest(values),
    )


def _mean(matrices: Sequence[Values]) -> Values:
    if len(matrices) == 1:  # a thousand classes take 4 MB: no copy of it
        return matrices[0]
    mean: Values = sum(matrices[1:], matrices[0]) / matrices[0].dtype.type(len(matrices))
    return mean


def is_read(state: State, group: Group) -> bool:
    """Whether what is shown is that of the cursor, and not yet that of an epoch before."""
    saved = [entry.saved_at(state.epoch) for entry in state.members(group)]
    return all(one is None or state.kept("angles", one) is not None for one in saved)


def _change(state: State, which: Which) -> Cosines | str:
    first, rival = state.compared
    if first is None or rival is None:
        return "a difference needs two groups: pick runs of another loss ([, space)"
    one, other = cosines(state, first, which), cosines(state, rival, which)
    if isinstance(one, str) or isinstance(other, str):
        return one if isinstance(one, str) else str(other)
    if one.classes != other.classes:
        return "the two groups have other classes"
    values: Values = other.values - one.values
    return Cosines(
        values=values, classes=one.classes, target=None, runs=1, largest=_largest(values)
    )


# --- drawing ------------------------------------------------------------------------------------


def _draw(state: State, which: Which, place: int, note: str, width: int, height: int) -> Chart:
    found, title = _found(state, which, place)
    title = f"{title}  {note}".rstrip()
    if isinstance(found, str):
        why = why_nothing(state, state.groups) if not state.groups else found
        return card(state, title, why, width, height)
    # the same picture for as long as nothing changes: a thousand classes take a while
    key = (title, state.epoch, state.view.mode, width, height, state.look, _limit(state, found))
    return state.last(
        ("gram", which, place), key, lambda: _heatmap(state, found, title, width, height)
    )


def _found(state: State, which: Which, place: int) -> tuple[Cosines | str, str]:
    """What one picture shows, and its title."""
    first, rival = state.compared
    if first is None:
        return "nothing to show", WORDS[which]
    if state.view.mode == "difference":
        name = f"{rival.name} − {first.name}" if rival else "difference"
        return change(state, which), f"{name}: {WORDS[which]}"
    group = first if place == 0 else rival
    if group is None:
        return "no other group is picked", WORDS[which]
    found = cosines(state, group, which)
    if not is_read(state, group):
        return found, f"{group.name}: {WORDS[which]}, measuring"
    runs = f" ×{found.runs}" if isinstance(found, Cosines) and found.runs > 1 else ""
    shown = len(state.members(group)) < len(group.entries)  # of many classes the first run's
    name = run_labels(group)[0] if shown else group.heading(state.epoch)
    return found, f"{name}{runs}: {WORDS[which]}"


def _heatmap(state: State, found: Cosines, title: str, width: int, height: int) -> Chart:
    from nccli.charts.heatmap import heatmap  # brings numpy in

    return heatmap(
        found.values,
        title=title,
        width=width,
        height=height,
        labels=list(found.classes),
        target=found.target,
        limit=_limit(state, found),
        difference=state.view.mode == "difference",
        look=state.look,
    )


def _limit(state: State, found: Cosines) -> float:
    """One colour scale for what stands side by side: the round number that holds every pair."""
    from nccli.charts.heatmap import LIMITS

    shown = [found]
    if state.view.mode == "difference":
        every = [change(state, which) for which in WORDS]
    else:
        groups = [group for group in state.compared if group is not None]
        every = [cosines(state, group, which) for group in groups for which in WORDS]
    shown += [one for one in every if isinstance(one, Cosines)]
    most = max(max(one.largest, abs(one.target or 0.0)) for one in shown)
    return next((limit for limit in LIMITS if most <= limit), LIMITS[-1])


def _largest(values: Values) -> float:
    from nccli.charts.blocks import largest_size

    return largest_size(values.astype(float))


def _plotted(state: State, which: Which, place: int) -> Plotted:
    found, title = _found(state, which, place)
    matrices: Sequence[Matrix] = ()
    if isinstance(found, Cosines):
        matrices = [
            Matrix(label=title, values=found.values, classes=found.classes, target=found.target)
        ]
    return Plotted(title=title, name=f"gram-{which}", matrices=tuple(matrices))
