"""Calibration as tables for people: one checkpoint in full, classes, pairs, what goes with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nccli.calibration_report import SCORED, CalibrationReport
from nccli.render import shown
from nccli.result import quantities
from nccli.tables import grid, result_heading, short_path
from nccli.text import group_name, visible

if TYPE_CHECKING:  # names of types only: these modules bring numpy in
    from nccli.calibration.classes import ClassCalibration
    from nccli.calibration.paired import DifferenceReport
    from nccli.calibration.relations import RelationReport

NAME_WIDTH = 12
WIDEST = 17  # of an interval: two of them fit beside two numbers in 80 columns
BASIC = (
    "95 % intervals by bootstrap over samples. They take off the bias that few samples give a "
    "score, so that they may end below it; errors that noise explains begin at 0."
)


def _interval(one: Any) -> str:
    if one is None or one.low is None:
        return ""
    texts = [f"[{one.low:.{digits}g}, {one.high:.{digits}g}]" for digits in (3, 2)]
    return next((text for text in texts if len(text) <= WIDEST), texts[-1])


# --- one checkpoint -----------------------------------------------------------------------------


def full_table(result: CalibrationReport) -> RenderableType:
    """Every score before and after recalibration, with intervals, and what they mean."""
    parts: list[RenderableType] = [
        result_heading(result, f"K={result.num_classes}", f"{result.split} N={result.n:,}"),
        _scores(result),
        *(Text(visible(line), "dim") for line in _remarks(result)),
    ]
    return Group(*parts)


def _scores(result: CalibrationReport) -> Table:
    after = result.calibrated
    sampled = result.intervals is not None
    headings = [result.split, *(["95 %"] if sampled else [])]
    if after is not None:
        headings += ["recalibrated", *(["95 %"] if sampled else [])]
    table = grid("", *headings)
    for name in SCORED:
        cells = [shown(getattr(result, name))]
        if sampled:
            cells.append(_interval(getattr(result.intervals, name, None)))
        if after is not None:
            cells.append(shown(getattr(after, name)))
            if sampled:
                cells.append(_interval(getattr(result.calibrated_intervals, name, None)))
        table.add_row(quantities(CalibrationReport)[name].label, *cells)
    return table


def _remarks(result: CalibrationReport) -> Iterator[str]:
    words = f"temperature {result.temperature_status}"
    if result.temperature is not None:
        words = f"temperature {result.temperature:.4g} ± {result.temperature_standard_error:.2g}"
    if result.calibrated is not None:
        words += f"; recalibrated: {result.recalibration}"
    yield words
    if result.calibration_p is not None:
        yield (
            f"test of calibration: p {_p(result.calibration_p, result.resamples)}; by chance the "
            f"ECE stays below {shown(result.ece_null_95)} (95 %)"
        )
    if result.confidence_collapsed is not None and result.label_smoothing:
        yield (
            f"at full collapse confidence would be 1 - delta (K - 1)/K = "
            f"{result.confidence_collapsed:.4g}; of right predictions it is "
            f"{shown(result.confidence_right)}"
        )
    if result.worst_class is not None and result.worst_class_gap is not None:
        word = "over" if result.worst_class_gap > 0 else "under"
        yield (
            f"worst class {result.worst_class}: predictions of it are {word}confident by "
            f"{abs(result.worst_class_gap):.3g} (--per-class)"
        )
    seen = {f"{100 * one.coverage:.0f} %": one.accuracy for one in result.accuracy_at_coverage}
    coverage = ", ".join(f"{share}: {accuracy:.3g}" for share, accuracy in seen.items())
    yield f"accuracy of the most confident {coverage}"
    yield "ECE in other numbers of bins: " + ", ".join(
        f"{one.bins}: {one.ece:.2g}" for one in result.bin_sensitivity
    )
    if result.intervals is not None:
        yield BASIC


def _p(value: float, resamples: int) -> str:
    least = 1.0 / (1 + resamples)
    return f"≤ {least:.1g}" if value <= least else f"= {value:.3g}"


# --- classes ------------------------------------------------------------------------------------


def class_table(reports: Sequence[ClassCalibration]) -> RenderableType:
    """A line a class, a table a (file, split); the worst stand out."""
    parts: list[RenderableType] = []
    for _, members in groupby(reports, key=lambda one: (one.path, one.split)):
        found = list(members)
        parts += [Text()] if parts else []
        parts += [result_heading(found[0], found[0].split), _classes(found)]
    note = "over: confidence - accuracy of what is predicted as the class; * beyond 2 x its noise"
    return Group(*parts, Text(note, "dim"))


def _classes(found: Sequence[ClassCalibration]) -> Table:
    named = any(one.class_name for one in found)
    table = grid("class", *(["name"] if named else []), "N", "predicted", "accuracy",
                  "confidence", "over", "noise", "ECE")  # fmt: skip
    for one in found:
        name = [Text(visible(one.class_name or "")[:NAME_WIDTH])] if named else []
        beyond = (
            one.overconfidence is not None
            and one.noise is not None
            and abs(one.overconfidence) > 2 * one.noise
        )
        over = "–" if one.overconfidence is None else f"{one.overconfidence:+.3f}"
        table.add_row(
            str(one.label), *name, f"{one.count:,}", f"{one.predicted:,}", shown(one.accuracy),
            shown(one.confidence), f"{over}{'*' if beyond else ' '}", shown(one.noise),
            shown(one.ece),
        )  # fmt: skip
    return table


# --- pairs --------------------------------------------------------------------------------------


def differences_table(rows: Sequence[DifferenceReport]) -> RenderableType:
    """A table a pair: both values, their difference with its interval, and after recalibration."""
    parts: list[RenderableType] = []
    for _, members in groupby(rows, key=lambda row: (row.path, row.baseline_path, row.split)):
        found = list(members)
        parts += [Text()] if parts else []
        parts += [_pair_heading(found[0]), _pair(found)]
    return Group(*parts, Text(BASIC.replace("95 %", "95 % (paired)"), "dim"))


def _pair_heading(row: DifferenceReport) -> Text:
    heading = Text(visible(short_path(row.path)), "bold")
    words = [f"against {short_path(row.baseline_path)}"]
    words += [] if row.epoch is None else [f"epoch {row.epoch}"]
    words += [] if row.seed is None else [f"seed {row.seed}"]
    return heading.append("\n" + visible("  ".join([*words, f"{row.split} N={row.n:,}"])), "dim")


def _pair(rows: Sequence[DifferenceReport]) -> RenderableType:
    before = [
        (row.score, row.baseline_value, row.other_value, row.difference, row.low, row.high,
         row.better)
        for row in rows
    ]  # fmt: skip
    after = [
        (row.score, row.baseline_calibrated, row.other_calibrated, row.difference_calibrated,
         row.low_calibrated, row.high_calibrated, row.better_calibrated)
        for row in rows if row.difference_calibrated is not None
    ]  # fmt: skip
    parts: list[RenderableType] = [_side(rows[0], before, "as they are")]
    if after:
        parts += [Text(), _side(rows[0], after, "recalibrated, each")]
    return Group(*parts)


def _side(row: DifferenceReport, lines: Sequence[tuple[Any, ...]], title: str) -> Table:
    table = grid(title, row.baseline, row.other, "difference", "95 %", "better")
    labels = quantities(CalibrationReport)
    for score, first, second, change, low, high, better in lines:
        interval = "" if low is None or high is None else f"[{low:.2g}, {high:.2g}]"
        table.add_row(
            labels[score].label, shown(first), shown(second),
            "–" if change is None else f"{change:+.2g}", Text(interval, no_wrap=True),
            Text(better or "", "bold"),
        )  # fmt: skip
    return table


# --- what goes with it --------------------------------------------------------------------------


def relations_table(results: Sequence[RelationReport]) -> RenderableType:
    """A line a checkpoint, by run; below it what the temperatures and the ECE go with."""
    from nccli.calibration_ratios import correlations, ratios
    from nccli.runs import run_of

    parts: list[RenderableType] = []
    order: dict[tuple[object, ...], int] = {}
    for one in results:  # in whatever order: splits take turns
        order.setdefault((run_of(one), one.split), len(order))
    ordered = sorted(results, key=lambda one: order[run_of(one), one.split])
    for _, members in groupby(ordered, key=lambda one: (run_of(one), one.split)):
        found = list(members)
        parts += [Text()] if parts else []
        parts += [_relations_heading(found[0]), _relations(found)]
    lines = [_correlation(label, found) for label, found in correlations(results)]
    if lines:
        parts += [Text(), Text("rank correlation of the ECE over epochs (Spearman)", "bold")]
        parts += lines
    if found_ratios := ratios(results):
        parts += [Text(), _ratios(found_ratios)]
        parts.append(
            Text(
                "explained: log of the temperatures' ratio over log of the logits'; at 100 % the "
                "optimal temperatures undo the difference in size, no more and no less",
                "dim",
            )
        )
    return Group(*parts)


def _relations_heading(one: RelationReport) -> Text:
    from nccli.runs import run_folder

    words = [group_name(one.loss_name, one.label_smoothing)] if one.loss_name else []
    words += [] if one.seed is None else [f"seed {one.seed}"]
    heading = Text(visible(short_path(run_folder(one.path))), "bold")
    return heading.append(visible("  " + "  ".join([*words, one.split])), "not bold dim")


_COLUMNS = (
    ("epoch", "epoch"), ("NC1 train", "nc1"), ("norm w", "weight_norm"),
    ("norm h", "feature_norm"), ("logits", "logit_size"), ("T", "temperature"),
    ("conf.", "confidence"), ("ECE", "ece"), ("floor", "ece_noise_floor"),
    ("after T", "ece_calibrated"),
)  # fmt: skip


def _relations(found: Sequence[RelationReport]) -> Table:
    table = grid(*(heading for heading, _ in _COLUMNS))
    for one in found:
        table.add_row(*(shown(getattr(one, name)) for _, name in _COLUMNS))
    return table


def _correlation(label: str, found: Sequence[Any]) -> Text:
    from nccli.calibration.relations import RelationReport

    labels = quantities(RelationReport)
    words = ", ".join(f"{labels[one.name].label} {one.rho:+.2f}" for one in found)
    return Text(visible(f"{label}: {words}"))


def _ratios(found: Sequence[Any]) -> Table:
    table = grid("CE over", "seed", "epoch", "norm w norm h", "logits", "temperature", "explained",
                  title="is the temperature the norm?")  # fmt: skip
    for one in found:
        explained = "–" if one.explained is None else f"{100 * one.explained:.0f} %"
        table.add_row(
            visible(one.other), shown(one.seed), shown(one.epoch), shown(one.norms),
            shown(one.logits), shown(one.temperatures), explained,
        )  # fmt: skip
    return table
