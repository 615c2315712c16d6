"""A sweep of the closed form for people: a row a point, then the two answers with their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from nccli.regime import Answer, crossing, value_at
from nccli.render import shown
from nccli.result import quantities
from nccli.sweep import Axis, SweepPoint, place
from nccli.tables import grid
from nccli.text import plural

MOST_ANSWERS = 20  # rows of the second table: a screen of them
TITLES = {  # the labels, cut to the width of a number
    "logit_scale": "a",
    "p_target": "p\ntarget",
    "kappa_loss": "kappa\nloss",
    "kappa_regularised": "kappa\nregul.",
    "kappa_joint": "kappa\njoint",
    "weight_norm": "norm\nof w_k",
    "feature_norm": "norm\nof h_i",
}
EXPENDABLE = ("feature_norm", "weight_norm", "p_target", "logit_scale")  # the first goes first

ROUNDING = 1e-11  # of condition numbers in the tens of thousands


def sweep_table(
    points: Sequence[SweepPoint], axes: Sequence[Axis], *, width: int
) -> RenderableType:
    """One row a point: the swept variables, and of the brief results what `width` cells hold."""
    moving = [field for axis in axes for field in axis.fields if _moves(points, field)]
    columns = {
        name: [shown(getattr(point, name)) for point in points] for name in [*moving, *_brief()]
    }
    left_out = []
    for name in EXPENDABLE:
        if sum(_cells(one, cells) for one, cells in columns.items()) > width:
            del columns[name]
            left_out.append(name)
    table = grid()
    for name in columns:
        table.add_column(_title(name), justify="right", overflow="fold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    told = f"no room for {', '.join(left_out)}: the other formats have all columns"
    return Group(_heading(points, moving), table, *([Text(told, style="dim")] if left_out else []))


def _title(name: str) -> str:
    return TITLES.get(name, quantities(SweepPoint)[name].label)


def _cells(name: str, texts: Sequence[str]) -> int:
    """How wide a column is, with the gap after it."""
    return max(len(text) for text in [*_title(name).split("\n"), *texts]) + 1


def _brief() -> list[str]:
    return [name for name, meaning in quantities(SweepPoint).items() if meaning.brief]


def _moves(points: Sequence[SweepPoint], field: str) -> bool:
    return len({getattr(point, field) for point in points}) > 1


def _heading(points: Sequence[SweepPoint], moving: Sequence[str]) -> Text:
    names = ("num_classes", "per_class", "dim", "lambda_w", "lambda_h", "label_smoothing")
    fixed = {
        name: getattr(points[0], name)
        for name in names
        if name not in moving and not _moves(points, name)
    }
    follows = " d=K" if "dim" not in moving and _moves(points, "dim") else ""
    return Text(f"unconstrained feature model  {place(fixed)}{follows}", style="bold")


# --- the answers --------------------------------------------------------------------------------


def answers_text(found: Sequence[Answer], axes: Sequence[Axis]) -> RenderableType:
    """Whether kappa_loss is linear in delta, and where kappa_regularised rises with it."""
    parts: list[RenderableType] = []
    straight = _straight(found)
    if straight:
        parts.append(_labelled("kappa, loss only", straight))
    if len(found) == 1:
        parts.append(_labelled("kappa, regularised blocks", _turn(found[0])))
    else:
        parts.append(_labelled("kappa, regularised blocks", _turns(found)))
        parts += [Text(line) for line in _equal_lines(found, axes)]
        parts += [_turns_table(found)]
    return Group(*parts)


def _labelled(label: str, words: str) -> Text:
    return Text(f"{label}: ", style="bold").append(words, style="not bold")


def _straight(found: Sequence[Answer]) -> str:
    """The first answer in words; empty where delta does not move."""
    lines = [one.linearity for one in found if one.linearity.deviation is not None]
    if not lines:
        return ""
    slopes = sorted({line.slope for line in lines})
    count = sum(line.points for line in lines)
    deviation = max(line.deviation or 0.0 for line in lines)
    slope = f"slope -(K-1) = {slopes[0]}" if len(slopes) == 1 else "slope -(K-1)"
    if 0 in slopes:
        slope = "constant 1 for K = 2" if len(slopes) == 1 else f"{slope}, constant 1 for K = 2"
    return (
        f"exactly linear in delta, {slope} (open question 1 of arXiv 2402.03979); the "
        f"{plural(count, 'point')} lie {_how_straight(deviation)}"
        + (" each." if len(lines) > 1 else ".")
    )


def _turn(one: Answer) -> str:
    """The second answer in words, for one problem."""
    at = one.regime
    pull = f"K sqrt(n) lambda_Z = {shown(at.pull)}"
    crossing_words = (
        f"the crossing {shown(at.crossing)} of K = {one.problem.num_classes} "
        f"(lambda_H = {shown(at.crossing_lambda_h)})"
    )
    if at.slope is None:
        return f"{pull} >= 1: everything is collapsed to zero, whatever delta is."
    if at.peak_delta is None:
        return (
            f"{pull} lies above {crossing_words}: falls with delta from {shown(at.baseline)} at 0 "
            f"on, slope {shown(at.slope)}."
        )
    return (
        f"{pull} lies below {crossing_words}: RISES with delta, from {shown(at.baseline)} at 0 "
        f"(slope {shown(at.slope)}) to {shown(at.peak)} at delta {shown(at.peak_delta)}, and is "
        f"below cross-entropy again beyond delta {shown(at.return_delta)}."
    )


def _turns(found: Sequence[Answer]) -> str:
    """The second answer in words, for several problems."""
    crossings = {one.regime.crossing for one in found}
    where = "a crossing that depends on K alone"
    if len(crossings) == 1:
        where = (
            f"{shown(found[0].regime.crossing)}, the crossing of K = {found[0].problem.num_classes}"
        )
    penalties = {one.regime.crossing_lambda_h for one in found}
    little = f" (at delta 0: lambda_H < {shown(penalties.pop())})" if len(penalties) == 1 else ""
    return f"RISES with delta while delta + K sqrt(n) lambda_Z is below {where}{little}."


def _how_straight(deviation: float) -> str:
    # what is left after rounding differs from machine to machine: its size is no news
    if deviation < ROUNDING:
        return "on a straight line, to rounding"
    return f"within {deviation:.1e} of a straight line"


def _equal_lines(found: Sequence[Answer], axes: Sequence[Axis]) -> list[str]:
    """Where each smoothing equals cross-entropy on the one variable that moves, if it is one."""
    moving = [axis for axis in axes if axis.name != "delta" and len(axis.values) > 1]
    deltas = [delta for delta in found[0].deltas if delta > 0]
    if len(moving) != 1 or "delta" in [a.name for a in axes if len(a.values) > 4]:
        return []
    (axis,), problem = moving, found[0].problem
    lines = []
    for delta in deltas:
        pull = crossing(problem.num_classes, label_smoothing=delta)
        value = value_at(pull, axis.name, problem)
        if value is not None:
            lines.append(
                f"LS {delta:g} is above CE for {_name(axis)} < {shown(value)} (K sqrt(n) lambda_Z "
                f"< {shown(pull)}), and below it beyond."
            )
    return lines


def _name(axis: Axis) -> str:
    label = quantities(SweepPoint)[axis.fields[0]].label
    return "lambda_W = lambda_H" if axis.name == "lambda" else label


def _turns_table(found: Sequence[Answer]) -> RenderableType:
    """A row a problem: how it begins at delta = 0, where its maximum is, where it is back."""
    rows = [_turn_cells(one) for one in found]
    same = {name for name in rows[0] if len({row[name] for row in rows}) == 1}
    if all(row["d"] == row["K"] for row in rows):
        same.add("d")
    names = [name for name in rows[0] if name not in same & MAY_STAND_STILL]
    table = grid()
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for row in rows[:MOST_ANSWERS]:
        table.add_row(*(row[name] for name in names))
    if len(rows) <= MOST_ANSWERS:
        return table
    rest = f"and {len(rows) - MOST_ANSWERS:,} more problems: sweep fewer values to see them here"
    return Group(table, Text(rest, style="dim"))


MAY_STAND_STILL = {
    "K", "n", "d", "lambda_W", "lambda_H", "crossing", "lambda_H\nthere"
}  # fmt: skip


def _turn_cells(one: Answer) -> dict[str, str]:
    problem, at = one.problem, one.regime
    begins = "collapsed" if at.slope is None else "rises" if at.rises else "falls"
    return {
        "K": str(problem.num_classes),
        "n": str(problem.per_class),
        "d": str(problem.dim),
        "lambda_W": shown(problem.lambda_w),
        "lambda_H": shown(problem.lambda_h),
        "K sqrt(n)\nlambda_Z": shown(at.pull),
        "crossing": shown(at.crossing),
        "lambda_H\nthere": shown(at.crossing_lambda_h),
        "at\ndelta 0": begins,
        "largest\nat delta": shown(at.peak_delta),
        "below CE\nbeyond": shown(at.return_delta),
    }
