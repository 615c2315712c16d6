"""The numbers that the panes show, read off the state: curves, marks of the theory, meanings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from nccli.calibration_report import CalibrationReport, Scores
from nccli.charts import Reference
from nccli.collapse_report import CollapseReport
from nccli.compare import COMPARED, Compared, Observation
from nccli.hessian_report import HessianReport
from nccli.result import Quantity, quantities
from nccli.tui.entry import Group
from nccli.tui.state import State

_PARTS: dict[str, Any] = {
    "train": CollapseReport,
    "test": CollapseReport,
    "calibration": CalibrationReport,
    "hessian": HessianReport,
}
_WAYS = {row.key: row.better for row in COMPARED}
_LABELS = {row.key: row.label for row in COMPARED}


@cache
def meaning(key: str) -> Quantity:
    """What a number is, by its dotted name."""
    part, *rest = key.split(".")
    result_type = Scores if rest[0] == "calibrated" else _PARTS[part]
    return quantities(result_type)[rest[-1]]


def label(key: str) -> str:
    """A number's name, with its split where there are two to tell apart."""
    part = key.split(".")[0]
    if key in _LABELS and part != "calibration":  # which may be that of another split than test
        return _LABELS[key]
    return f"{meaning(key).label} {part}" if part in ("train", "test") else meaning(key).label


def compared_rows(keys: Iterable[str]) -> list[Compared]:
    """Rows of a comparison for numbers that may stand outside the standard one."""
    return [
        Compared(key=key, label=label(key), better=_WAYS.get(key, meaning(key).better))
        for key in keys
    ]


def run_labels(group: Group) -> list[str]:
    """A name for each run of a group: the group's, with its seed, else the directory's."""
    if len(group.entries) == 1:
        return [group.name]
    seeds = [entry.seed for entry in group.entries]
    return [
        f"{group.name} s{entry.seed}"
        if entry.seed is not None and seeds.count(entry.seed) == 1
        else entry.name
        for entry in group.entries
    ]


@cache
def theory_key(key: str) -> str | None:
    """The closed form that stands beside a measured number of the Hessian."""
    part, name = key.split(".", 1)
    theory = f"theory_{name}"
    return f"{part}.{theory}" if part == "hessian" and theory in quantities(HessianReport) else None


def theory_marks(state: State, key: str) -> list[Reference]:
    """The closed form at the cursor, a mark a group."""
    theory = theory_key(key)
    if theory is None:
        return []
    epoch = state.epoch
    values = [(group.name, group.value(theory, epoch)) for group in state.groups]
    return [Reference(value=v, label=f"UFM {name}") for name, v in values if v is not None]


def any_value(groups: Sequence[Group], key: str) -> bool:
    """Whether a number is defined at any epoch of any run."""
    return any(
        one.value(key) is not None
        for group in groups
        for entry in group.entries
        for one in entry.observations
    )


def undefined_because(group: Group, key: str, epoch: int | None) -> list[str]:
    """Why a number is undefined at an epoch, in the words of the analysis."""
    reasons: dict[str, None] = {}
    for entry in group.entries:
        observation = entry.at(epoch)
        if observation is not None and observation.value(key) is None:
            reasons |= dict.fromkeys(_notes(observation, key))
    return list(reasons)


def _notes(observation: Observation, key: str) -> Sequence[str]:
    part, name = key.split(".")[0], key.split(".")[-1]
    report = getattr(observation, part)
    if report is not None:
        notes: Sequence[str] = report.notes
        return notes or [f"the file does not allow it: {name} is undefined there"]
    reason = observation.why_absent(part)
    return [f"the file does not allow it: {name} is undefined there" if reason is None else reason]
