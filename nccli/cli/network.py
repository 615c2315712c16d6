"""`nccli hessian --network module:function`: the curvature of a whole network."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from nccli.cli import console
from nccli.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.network import NetworkReport


def run_network(
    spec: str,
    *,
    curvature: str,
    top: int,
    probes: int,
    steps: int,
    seed: int,
    double: bool,
    form: str,
    fail_if: str | None,
    chart: bool,
) -> int:
    """Print the curvature of the network that the user's function gives; return the exit code."""
    _require_extra()
    from nccli.condition import Condition
    from nccli.network import NetworkReport, analyze
    from nccli.network.loading import load_problem
    from nccli.render import FOR_PEOPLE, rendered, resolve_format
    from nccli.result import columns

    form = resolve_format(console.with_chart(form, chart), terminal=sys.stdout.isatty())
    condition = None if fail_if is None else Condition.parse(fail_if)
    if condition is not None:  # a mistyped field is told before anything is computed
        condition.check(columns(NetworkReport))
    # what the user's own code prints is talk
    with redirect_stdout(sys.stderr), _named(spec), _products_watched() as watch:
        report = analyze(
            load_problem(spec), curvature=curvature, top=top, probes=probes, steps=steps,
            seed=seed, double=double, name=spec, watch=watch,
        )  # fmt: skip
    if form in FOR_PEOPLE:
        console.show(_table(report, chart), form=form)
    else:
        sys.stdout.write(rendered([report], form=form))
    console.say_notes([report])
    return console.exit_code([report], failed=0, condition=condition)


def _require_extra() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("torch", "curvlinops")):
        raise MissingExtraError(
            "a whole network needs PyTorch and curvlinops", remedy="pip install 'nccli[network]'"
        )


@contextmanager
def _named(spec: str) -> Iterator[None]:
    """Give every InputError the user's function as its place, once."""
    try:
        yield
    except InputError as error:
        error.source = error.source or spec
        raise


@contextmanager
def _products_watched() -> Iterator[Callable[[int], None]]:
    """Count the products on stderr where it is a terminal; how many it takes is not known."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with console.progress() as bar:
        task = bar.add_task("products", total=None)
        yield lambda count: bar.advance(task, count)


def _table(report: NetworkReport, chart: bool) -> RenderableType:
    from rich.console import Group

    from nccli.network.table import network_table

    return Group(network_table(report), *_charts(report)) if chart else network_table(report)


def _charts(report: NetworkReport) -> list[RenderableType]:
    from rich.text import Text

    from nccli.charts import line_chart
    from nccli.cli.drawing import HEIGHT, chart_width, look
    from nccli.network.table import density_curves
    from nccli.tables import as_text

    drawn = line_chart(
        density_curves(report),
        title="share of the eigenvalues a decade",
        width=chart_width(),
        height=HEIGHT + 2,
        x_label="|λ|",
        x_log=True,
        look=look(),
        lines=False,
    )
    return [Text(), as_text(drawn)]
