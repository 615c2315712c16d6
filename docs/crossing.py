"""The picture of docs/explanation.md: `python docs/crossing.py docs/crossing.svg`.

kappa_regularised of the closed form over delta, divided by its value at delta = 0, for penalties on
both sides of the crossing. `nccli hessian --sweep` prints the same numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nccli.charts import Reference, Series
from nccli.export import Plotted
from nccli.figures import plotted_figure_bytes
from nccli.regime import crossing, value_at
from nccli.sweep import parse, sweep

CLASSES, PER_CLASS, LAMBDA_W = 10, 5000, 5e-4  # of the README's example
PULLS = (0.1, 0.2, crossing(CLASSES), 0.5)  # K sqrt(n) lambda_z
DELTAS = "delta=0:0.9:37"


def curve(pull: float, kind: int) -> Series:
    """Kappa over delta, relative to delta = 0; it ends where everything collapses to zero."""
    base = {"num_classes": CLASSES, "per_class": PER_CLASS, "dim": CLASSES, "lambda_w": LAMBDA_W}
    first = sweep(parse(["delta=0,0.5"]), {**base, "lambda_h": LAMBDA_W})[0]
    lambda_h = value_at(pull, "lambda-h", first.problem)
    points = sweep(parse([DELTAS]), {**base, "lambda_h": lambda_h})
    start = points[0].kappa_regularised or 1.0
    return Series(
        label=f"K√n λ_Z = {pull:.3g}" + (" (crossing)" if kind == 2 else ""),
        x=[point.label_smoothing for point in points],
        y=[
            None if point.kappa_loss is None or point.kappa_regularised is None
            else point.kappa_regularised / start
            for point in points
        ],
        kind=kind,
    )  # fmt: skip


def plotted() -> Plotted:
    """The numbers of the picture."""
    return Plotted(
        title=f"kappa_regularised over that of CE, K = {CLASSES}",
        name="crossing",
        series=tuple(curve(pull, kind) for kind, pull in enumerate(PULLS)),
        x_label="delta",
        references=(Reference(value=1.0, label="CE"),),
    )


if __name__ == "__main__":
    notes = ("python docs/crossing.py docs/crossing.svg",)
    Path(sys.argv[1]).write_bytes(plotted_figure_bytes(plotted(), "svg", notes=notes))
