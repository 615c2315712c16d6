"""One checkpoint's Hessian for people: measured beside the theory, and what was asked for more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nccli.hessian_curves import share_below
from nccli.hessian_rates import DecayReport
from nccli.hessian_report import DensityBin, HessianReport, TheoryEigenvalue
from nccli.render import shown
from nccli.result import quantities
from nccli.tables import grid, result_heading, short_path
from nccli.text import group_name, visible

FAINTEST = 1e-6  # share below which a decade is dust of the quadrature
MIDDLE = 0.1  # of the narrowest bins, a fifth of a decade, in powers of ten
FINEST = -12  # the last power of ten that is told apart
MOST_CLASSES = 20  # lines of the table of classes; JSON has them all
CERTIFIED = {"lambda_max_w", "lambda_max_h", "lambda_max_joint"}
SPECTRA = {
    "w": "W block", "h": "H block, all samples", "joint": "joint (W, H)",
    "joint_regularised": "joint (W, H), regularised",
}  # fmt: skip
PARTS = ("trace_w_class", "trace_w_cross_class", "trace_w_within", "trace_w_own")


def against_theory(result: HessianReport) -> RenderableType:
    """Each number with its value at the collapsed optimum, and the parts that were asked for."""
    block = "W block with bias" if result.bias_included else ""
    heading = result_heading(result, f"N={result.n:,}", *([block] if block else []))
    return Group(heading, _numbers(result), _penalties(result), *_more(result))


def _numbers(result: HessianReport) -> Table:
    table = grid("", "measured", "UFM optimum", "ratio", "certified to")
    for name, meaning in quantities(result).items():
        if hasattr(result, f"theory_{name}") and not meaning.records:
            measured, theory = getattr(result, name), getattr(result, f"theory_{name}")
            ratio = measured / theory if measured is not None and theory else None
            cells = (shown(measured), shown(theory), shown(ratio), _certificate(result, name))
            table.add_row(meaning.label, *cells)
    return table


def _certificate(result: HessianReport, name: str) -> str:
    """The residual relative to the value: how much of it is certain."""
    value = getattr(result, name)
    error = getattr(result, f"{name}_error") if name in CERTIFIED else None
    if error is None or not value:
        return ""
    return "all solved" if error == 0 else certainty(error / value)


def certainty(relative: float) -> str:
    """A relative error as the power of ten it stays below: more digits would be noise."""
    return f"< 1e{max(math.ceil(math.log10(max(relative, 1e-300))), FINEST)}"


def _penalties(result: HessianReport) -> Text:
    text = (
        f"data term only unless regularised;  lambda_W {shown(result.lambda_w)}, lambda_H "
        f"{shown(result.lambda_h)} ({result.lambda_h_source or 'unknown'})"
    )
    return Text(visible(text), "dim")


def _more(result: HessianReport) -> Iterator[RenderableType]:
    if result.rate_means_w is not None or result.rate_regularised_w is not None:
        yield Text(
            "linear rate 1 - 1/kappa a step:  means "
            f"{_rate(result.rate_means_w)}, regularised {_rate(result.rate_regularised_w)}",
            "dim",
        )
    if result.lambda_min_w is not None:
        yield Text()
        yield _smallest(result)
    if result.trace_w_class is not None:
        yield Text()
        yield _hierarchy(result)
    for name, title in SPECTRA.items():
        if getattr(result, f"spectrum_{name}"):
            yield Text()
            yield _spectrum(result, name, title)
    if result.density_w or result.density_h or result.density_joint:
        yield Text()
        yield _densities(result)
    if result.density_h:
        yield Text()
        yield _classes(result)


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"


def _smallest(result: HessianReport) -> Table:
    table = grid("W block on (1-perp) x R^d", "")
    table.add_row("lambda min", f"{shown(result.lambda_min_w)} ± {result.lambda_min_w_error:.0e}")
    table.add_row("kappa regularised, null modes out", shown(result.kappa_regularised_perp_w))
    table.add_row("null modes of the softmax, from theory", shown(result.null_modes_w))
    return table


def _hierarchy(result: HessianReport) -> Table:
    table = grid("trace of the W block", "", "share")
    for name in PARTS:
        value = getattr(result, name)
        share = value / result.trace_w if result.trace_w else None
        label = quantities(result)[name].label.removeprefix("trace W, ")
        table.add_row(label, shown(value), "–" if share is None else f"{100 * share:.1f} %")
    return table


def _spectrum(result: HessianReport, name: str, title: str) -> Table:
    """The largest eigenvalues beside the theory's, each as often as its multiplicity."""
    table = grid("rank", "eigenvalue", "certified to", "UFM optimum", title=f"{title}, largest")
    measured = getattr(result, f"spectrum_{name}")
    theory = _expanded(getattr(result, f"theory_spectrum_{name}"), len(measured))
    for rank, one in enumerate(measured, 1):
        width = (one.high - one.low) / 2
        certificate = certainty(width / one.value) if one.low > 0 else "zero lies within"
        expected = theory[rank - 1] if rank <= len(theory) else None
        table.add_row(str(rank), shown(one.value), certificate, shown(expected))
    return table


def _expanded(spectrum: Sequence[TheoryEigenvalue], count: int) -> Sequence[float]:
    values: list[float] = []
    for entry in spectrum:
        values += [entry.value] * min(entry.multiplicity, count - len(values))
    return values


def _densities(result: HessianReport) -> Table:
    """Shares of the eigenvalues of each block by decade; JSON has finer bins, and error bars."""
    blocks = {"W": result.density_w, "H": result.density_h, "joint": result.density_joint}
    found = {name: bins for name, bins in blocks.items() if bins}
    table = grid("eigenvalues", *found, title="share of the eigenvalues of each block")
    below = [share_below(bins, FAINTEST) for bins in found.values()]
    if any(below):
        table.add_row("not resolved, zero or negative", *below)
    for first, last in _spans(one for bins in found.values() for one in bins):
        cells = [_percent(_inside(bins, first, last)) for bins in found.values()]
        table.add_row(f"1e{first} to 1e{last + 1}", *cells)
    return table


def _spans(bins: Iterable[DensityBin]) -> list[tuple[int, int]]:
    """First and last decade of each row: more than one where a bin lies across them."""
    spans: list[tuple[int, int]] = []
    told = [one for one in bins if one.low is not None and one.share >= FAINTEST]
    for first, last in sorted(_decades(one) for one in told):
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(last, spans[-1][1])
        else:
            spans.append((first, last))
    return spans


def _decades(one: DensityBin) -> tuple[int, int]:
    """The decades that a bin begins and ends in; those of the H block are not aligned to them."""
    assert one.low is not None
    low, high = math.log10(one.low) + MIDDLE, math.log10(one.high) - MIDDLE
    return math.floor(low), math.floor(high)


def _inside(bins: Sequence[DensityBin], first: int, last: int) -> float:
    told = [one for one in bins if one.low is not None]
    return sum(one.share for one in told if first <= _decades(one)[0] <= last)


def _percent(share: float) -> str:
    return "" if share < FAINTEST else f"{100 * share:.3g} %"


def _classes(result: HessianReport) -> Table:
    table = grid("class", "samples", "kappa H median", "kappa H p90", title="H block by class")
    for one in result.kappa_h_classes[:MOST_CLASSES]:
        table.add_row(str(one.label), f"{one.n:,}", shown(one.median), shown(one.p90))
    left = len(result.kappa_h_classes) - MOST_CLASSES
    if left > 0:
        table.caption = Text(f"and {left} more: --format json has them all", "dim")
    return table


# --- the decay of NC1 ----------------------------------------------------------------------------


def decays_table(rows: Sequence[DecayReport]) -> RenderableType:
    """A line a stretch between two saved epochs, by run."""
    parts: list[RenderableType] = []
    for (path, split, loss, delta, seed), members in groupby(rows, key=_stretch_of):
        words = [group_name(loss, delta)] if loss else []
        words += [] if seed is None else [f"seed {seed}"]
        heading = Text(visible(short_path(path)), "bold")
        heading.append(visible("  " + "  ".join([*words, split])), "not bold")
        parts += [Text()] if parts else []
        parts += [heading, _decays(list(members))]
    note = "predicted: the factor of one step of gradient descent at step size 1 / lambda max"
    return Group(*parts, Text(note, "dim"))


def _stretch_of(row: DecayReport) -> tuple[Any, ...]:
    return row.path, row.split, row.loss_name, row.label_smoothing, row.seed


def _decays(rows: Sequence[DecayReport]) -> Table:
    table = grid("epochs", "NC1 from", "to", "factor an epoch", "1-1/kappa means", "regularised")
    for row in rows:
        table.add_row(
            f"{row.epoch_from} - {row.epoch_to}",
            *(shown(value) for value in (row.nc1_from, row.nc1_to)),
            *(_rate(value) for value in (row.nc1_decay, row.rate_means_w, row.rate_regularised_w)),
        )
    return table
