"""`nccli hessian`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nccli.cli import console
from nccli.cli.closed_form import closed_form
from nccli.errors import UsageError
from nccli.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType


DENSITY_HELP = (
    "Spectral densities: stochastic Lanczos for W and joint, exact for H. Error bars cover both "
    "the chance of the probes (95 %) and what the steps leave open."
)
SMALLEST_HELP = "The W block's smallest eigenvalue where the softmax is not flat."
HIERARCHY_HELP = "Papyan's split of the W block's trace: class, cross-class, within."
EXACT_HELP = "All eigenvalues of the W block, null modes left out: K d up to 8,000."
NETWORK_HELP = "A whole network in place of checkpoints: module:function or file.py:function."
DOUBLE_HELP = "--network: in float64, as confident networks need."
RATES_HELP = "The decay of NC1 from epoch to epoch, beside the rates that kappa predicts."
FIGURE_HELP = "Condition numbers by epoch as out.pdf, .svg, .png; closed form: or .tex, .csv."


def hessian(
    paths: list[str] | None = typer.Argument(
        None, help=console.PATHS_HELP + " None: the closed form.", show_default=False
    ),
    split: str | None = typer.Option(None, help=console.SPLIT_HELP + " Default: train."),
    lambda_w: float | None = typer.Option(
        None, help="Penalty lambda_w/2 norm(W)^2. Default: the run's weight decay; 5e-4 without."
    ),
    lambda_h: float | None = typer.Option(
        None, help="Penalty lambda_h/2 norm(H)^2. Default: from the norm balance; 5e-4 without."
    ),
    classes: int | None = typer.Option(None, help="Closed form: K, number of classes."),
    per_class: int | None = typer.Option(
        None, help="Closed form: n, samples of each class. Default: 100."
    ),
    dim: int | None = typer.Option(None, help="Closed form: d >= K - 1. Default: K."),
    smoothing: str | None = typer.Option(
        None, help="Closed form: values of delta, by commas. Default: 0,0.05,0.1."
    ),
    sweep: list[str] | None = typer.Option(
        None, help="Closed form over a range: delta=0:0.5:11, lambda-h=1e-8:1e-2:13:log, K=2,10."
    ),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
    fail_if: str | None = typer.Option(None, help=console.FAIL_IF_HELP),
    chart: bool = typer.Option(False, "--chart", help=console.CHART_HELP),
    figure: Path | None = typer.Option(None, help=FIGURE_HELP),
    top: int = typer.Option(1, min=1, help="How many of each block's largest eigenvalues."),
    density: bool = typer.Option(False, "--density", help=DENSITY_HELP),
    probes: int = typer.Option(
        4, min=1, help="Of densities: random probes; more of them, less chance."
    ),
    steps: int = typer.Option(
        30, min=2, help="Of densities: Lanczos steps a probe; more resolve more."
    ),
    seed: int = typer.Option(0, min=0, help="Of densities: seed of the probes."),
    smallest: bool = typer.Option(False, "--smallest", help=SMALLEST_HELP),
    hierarchy: bool = typer.Option(False, "--hierarchy", help=HIERARCHY_HELP),
    bias: bool = typer.Option(False, "--bias", help="The bias is a variable of the W block too."),
    exact: bool = typer.Option(False, "--exact", help=EXACT_HELP),
    rates: bool = typer.Option(False, "--rates", help=RATES_HELP),
    network: str | None = typer.Option(None, help=NETWORK_HELP, show_default=False),
    curvature: str | None = typer.Option(None, help="--network: ggn (default) or hessian."),
    double: bool = typer.Option(False, "--double", help=DOUBLE_HELP),
    max_passes: int = typer.Option(60, min=1, help="Passes in which lambda max of W converges."),
    jobs: int | None = typer.Option(None, "--jobs", "-j", min=1, help=console.JOBS_HELP),
    no_cache: bool = typer.Option(False, "--no-cache", help=console.NO_CACHE_HELP),
) -> None:
    """Conditioning of the last layer: measured at checkpoints, or the UFM's closed form.

    With paths: the last-layer Hessian at the saved features and weights, beside its value at the
    collapsed optimum. With --classes: minimiser, three condition numbers and the joint spectrum
    of the unconstrained feature model. --sweep NAME=VALUES, repeated for a grid, takes them over
    delta, lambda (both penalties), lambda-w, lambda-h, n, K or d; VALUES are START:STOP:COUNT,
    START:STOP:COUNT:log or A,B,C. Without --dim, d is K at each point.

    \b
    Examples:
      nccli hessian --classes 10 --per-class 5000 --dim 512 --smoothing 0,0.05,0.1
      nccli hessian --classes 4 --per-class 25 --smoothing 0.1 --format json
      nccli hessian --classes 10 --lambda-h 1e-6 --sweep delta=0:0.9:10 --chart
      nccli hessian --sweep K=2,10,100 --sweep lambda-h=1e-8:1e-2:13:log --format csv
      nccli hessian sample_data/runs/digits-mlp-ls0.05-s0@last
      nccli hessian 'sample_data/runs/*@last' --top 30 --density --chart
      nccli hessian sample_data/runs/digits-mlp-ce-s0@last --hierarchy --smallest
      nccli hessian sample_data/runs --rates
      nccli hessian 'sample_data/runs/*' --format csv
      nccli hessian --classes 10 --sweep delta=0:0.9:37 --figure kappa.pdf
      nccli hessian --network nccli.network.example:digits --top 3
    """
    closed = classes is not None or bool(sweep)
    measured = {
        "--split": split is not None, "--smallest": smallest, "--hierarchy": hierarchy,
        "--density": density, "--bias": bias, "--exact": exact, "--rates": rates,
        "--top": top != 1 and network is None, "--max-passes": max_passes != 60,
    }  # fmt: skip
    if closed or network is not None:
        _refuse([name for name, given in measured.items() if given])
    if network is not None:
        if figure is not None:
            raise UsageError("--figure goes with checkpoints and with --classes, not --network")
        if closed or paths:
            raise UsageError("--network takes the place of checkpoints and of --classes")
        from nccli.cli.network import run_network

        code = run_network(
            network,
            curvature=curvature or "ggn",
            top=top,
            probes=probes,
            steps=steps,
            seed=seed,
            double=double,
            form=form,
            fail_if=fail_if,
            chart=chart,
        )
        raise typer.Exit(code)
    if curvature is not None or double:
        name = "--double" if curvature is None else "--curvature"
        raise UsageError(f"{name} goes with --network, not with checkpoints or --classes")
    if not closed and not paths:
        raise UsageError(
            "give checkpoints, or --classes for the closed form", remedy="see nccli hessian --help"
        )
    if closed and paths:
        raise UsageError("give checkpoints or --classes, not both")
    _check_penalties(lambda_w, lambda_h)
    if closed:
        code = closed_form(
            classes=classes,
            per_class=per_class,
            dim=dim,
            lambda_w=lambda_w,
            lambda_h=lambda_h,
            smoothing=smoothing,
            sweep=sweep or [],
            form=form,
            fail_if=fail_if,
            chart=chart,
            figure=figure,
        )
        raise typer.Exit(code)
    if per_class is not None or dim is not None or smoothing is not None:
        raise UsageError("--per-class, --dim and --smoothing go with --classes, not with paths")

    from nccli.work import Work

    if figure is not None:
        if rates:
            raise UsageError("--rates and --figure do not go together", remedy="ask one at a time")
        from nccli.figures import check_figure

        check_figure(figure)
    given = {
        "lambda_w": lambda_w, "lambda_h": lambda_h, "top": top,
        "density": ["w", "h", "joint"] if density else [],
        "probes": probes, "steps": steps, "seed": seed, "smallest": smallest,
        "hierarchy": hierarchy, "with_bias": bias, "exact": exact, "max_passes": max_passes,
    }  # fmt: skip
    code = console.report(
        paths or [],
        Work(analysis="hessian", split=split, options=_asked(given), cached=not no_cache),
        jobs=jobs,
        form=console.with_chart(form, chart),
        fail_if=fail_if,
        table=_rates_table if rates else lambda results: _table(results, chart),
        summary=_decays if rates else None,
        then=None if figure is None else lambda results: _save_figure(results, figure),
    )
    raise typer.Exit(code)


def _save_figure(results: Sequence[Any], figure: Path) -> None:
    from nccli.cli.hessian_charts import CHARTED
    from nccli.figures import save_metric_figure

    if results:
        save_metric_figure(results, figure, names=CHARTED)
        console.say(f"nccli: wrote {visible(figure)}")


def _refuse(names: Sequence[str]) -> None:
    if names:
        verb = "goes" if len(names) == 1 else "go"
        raise UsageError(
            f"{' and '.join(names)} {verb} with checkpoints, not with --classes or --network"
        )


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """The options that change a number: a cache need not tell apart what was not asked for."""
    if not given["density"]:
        given = {name: given[name] for name in given if name not in ("probes", "steps", "seed")}
    return given


def _decays(results: Sequence[Any]) -> Sequence[Any]:
    from nccli.hessian_rates import decays

    rows = decays(results)
    console.say_notes([one for one in results if one.status != "converged"])
    if not rows:
        console.say("nccli: --rates needs two saved epochs of a run; these have fewer")
    return rows


def _check_penalties(*penalties: float | None) -> None:
    for value in penalties:
        if value is not None and not 0 <= value < math.inf:
            raise UsageError(f"a penalty must be finite and not negative, got {value}")


def _rates_table(rows: Sequence[Any]) -> RenderableType:
    from nccli.hessian_table import decays_table

    return decays_table(rows)


def _table(results: Sequence[Any], chart: bool) -> RenderableType:
    from rich.console import Group

    from nccli.tables import results_table

    if not chart:
        return results_table(results)
    from nccli.cli.hessian_charts import hessian_charts

    return Group(results_table(results), *hessian_charts(results))
