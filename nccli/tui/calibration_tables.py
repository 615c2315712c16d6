"""The Calibration tab's tables: scores before and after temperature scaling, and the bins."""

from __future__ import annotations

from collections.abc import Sequence

from nccli.calibration_report import ReliabilityBin
from nccli.render import shown
from nccli.tui.comparison import group_cell
from nccli.tui.entry import Group
from nccli.tui.number_table import Detail, Numbers, side_by_side
from nccli.tui.palette import tint
from nccli.tui.readings import meaning
from nccli.tui.reliability_pictures import groups_with_bins
from nccli.tui.rows import Cell, Column
from nccli.tui.state import State

SCORES = (
    *("ece", "ece_noise_floor", "ece_smooth", "ece_equal_mass", "ece_classwise", "mce"),
    *("overconfidence", "ece_over", "ece_under", "nll", "brier", "brier_calibration"),
    *("brier_refinement", "accuracy", "aurc", "confidence", "confidence_right"),
    *("confidence_wrong", "saturated"),
)
TEMPERATURE = "calibration.temperature"
ALONE = (TEMPERATURE, "calibration.calibration_p", "calibration.confidence_collapsed")


def _after(key: str) -> str:
    """The same score after temperature scaling."""
    return f"calibration.calibrated.{key.rpartition('.')[2]}"


def score_numbers(state: State) -> Numbers:
    """Each score of the two compared groups, before and after temperature scaling."""
    groups = [group for group in state.compared if group is not None]
    title = "" if state.epoch is None else f"at epoch {state.epoch}{_split(state, groups)}"
    columns = [Column(title=title, align="left")]
    for group in groups:
        heading, style = group_cell(state, group)
        columns += [Column(title=heading, style=style), Column(title="after T", rank=1)]
    keys = [f"calibration.{name}" for name in SCORES]
    known = [key for key in (*ALONE, *keys) if any(g.values(key, state.epoch) for g in groups)]
    cells = [
        [
            (meaning(key).label, ""),
            *(cell for group in groups for cell in _cells(state, group, key)),
        ]
        for key in known
    ]
    return Numbers(
        columns=columns,
        cells=cells,
        numbers=known,
        exact=lambda: side_by_side(state, groups, known, "after T", _after),
    )


def _split(state: State, groups: Sequence[Group]) -> str:
    """Which split is scored: test, or what there is instead of it."""
    seen = [entry.at(state.epoch) for group in groups for entry in group.entries]
    splits = {one.calibration.split for one in seen if one and one.calibration}
    return f", {'/'.join(sorted(splits))}" if splits else ""


def _cells(state: State, group: Group, key: str) -> list[Cell]:
    note = tint(state.look, "note")
    if key in ALONE:
        return [(shown(group.value(key, state.epoch)), ""), ("", note)]
    after = group.value(_after(key), state.epoch)
    return [(shown(group.value(key, state.epoch)), ""), (shown(after), note)]


# --- bins ---------------------------------------------------------------------------------------

Bins = Sequence[ReliabilityBin]


def bin_numbers(state: State) -> Numbers:
    """Each bin of the two compared groups: how many samples, accuracy, and how far it is off."""
    compared = [group for group in state.compared if group is not None]
    found = [(group, bins) for group, bins in groups_with_bins(state) if group in compared]
    after = " after T" if state.view.calibrated else ""
    columns = [Column(title=f"bins{after}", align="left")]
    for group, _ in found:
        heading, style = group_cell(state, group)
        columns += [
            Column(title=f"{heading} n", style=style),
            Column(title="accuracy", rank=1),
            Column(title="confidence", rank=2),
            Column(title="gap", style=style),
        ]
    edges = _edges([bins for _, bins in found])
    rows = [[_in(bins, low, high) for _, bins in found] for low, high in edges]
    return Numbers(
        columns=columns,
        cells=[
            [(_range(*edge), ""), *(cell for one in row for cell in _bin_cells(state, one))]
            for edge, row in zip(edges, rows, strict=True)
        ],
        details=[_bin_detail(edge, row, found) for edge, row in zip(edges, rows, strict=True)],
        note="gap: accuracy minus confidence; * more than chance explains (95 %)",
    )


def _edges(every: Sequence[Bins]) -> list[tuple[float, float]]:
    return sorted({(one.lower, one.upper) for bins in every for one in bins})


def _in(bins: Bins, low: float, high: float) -> ReliabilityBin | None:
    return next((one for one in bins if (one.lower, one.upper) == (low, high)), None)


def _range(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def _bin_cells(state: State, one: ReliabilityBin | None) -> list[Cell]:
    note = tint(state.look, "note")
    if one is None or one.accuracy is None or one.confidence is None:
        return [("0" if one is not None else "", note), ("", note), ("", note), ("", note)]
    gap = f"{one.accuracy - one.confidence:+.3f}{'*' if one.is_beyond else ' '}"
    return [
        (f"{one.count:,}", ""),
        (f"{one.accuracy:.3f}", ""),
        (f"{one.confidence:.3f}", note),
        (gap, ""),
    ]


def _bin_detail(
    edge: tuple[float, float],
    row: Sequence[ReliabilityBin | None],
    found: Sequence[tuple[Group, Bins]],
) -> Detail:
    facts = []
    for one, (group, _) in zip(row, found, strict=True):
        if one is None or one.accuracy is None or one.confidence is None:
            facts.append((group.name, "no sample"))
            continue
        chance = "more than chance explains" if one.is_beyond else "chance explains it"
        facts.append(
            (
                group.name,
                f"{one.count:,} samples, accuracy {one.accuracy:.4f}, confidence "
                f"{one.confidence:.4f}, gap {one.accuracy - one.confidence:+.4f}: {chance}",
            )
        )
    return Detail(title=f"confidence {_range(*edge)}", facts=facts)
