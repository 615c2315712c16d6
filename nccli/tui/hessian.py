"""Tab 3: conditioning of the last layer over the epochs, beside the closed form."""

from __future__ import annotations

from typing import Any

from nccli.charts import series_style
from nccli.render import shown
from nccli.tui.chart_view import ChartView
from nccli.tui.comparison import group_cell
from nccli.tui.curves_pane import CurvesPane
from nccli.tui.entry import Group
from nccli.tui.number_table import Numbers, side_by_side
from nccli.tui.palette import tint
from nccli.tui.readings import label, theory_key
from nccli.tui.rows import Cell, Column
from nccli.tui.spectra import delta_picture, density_picture, spectrum_picture
from nccli.tui.state import State

CHARTS = (
    ("hessian.kappa_means_w", "κ of W on the class means"),
    ("hessian.kappa_regularised_w", "κ of W, regularised"),
    ("hessian.kappa_h_median", "κ of H, median of samples"),
    ("hessian.lambda_max_w", "λ max of W"),
)
NUMBERS = tuple(
    f"hessian.{name}"
    for name in (
        *("kappa_means_w", "kappa_h_median", "kappa_h_p90", "kappa_regularised_w"),
        *("kappa_regularised_h", "lambda_max_w", "lambda_max_h", "lambda_max_joint"),
        *("trace_w", "trace_h"),
    )
)
NOTE = "loss only unless regularised; UFM: the closed form at the collapsed optimum"


class Hessian(CurvesPane):
    """Curves with the theory's marks, spectra and the theory over delta, above the numbers."""

    CURVES = CHARTS

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, lambda: theory_numbers(state), **options)
        # on the first screen: two condition numbers over the epochs, and the spectrum at the cursor
        self._charts[2:2] = [
            ChartView(state, spectrum_picture(state), "hessian.lambda_max_w"),
            ChartView(state, density_picture(state), "hessian.trace_w"),
        ]
        self._charts.append(ChartView(state, delta_picture(state), "hessian.kappa_regularised_w"))


def theory_numbers(state: State) -> Numbers:
    """Measured, theory and ratio of each of the two compared groups."""
    groups = [group for group in state.compared if group is not None]
    title = "" if state.epoch is None else f"at epoch {state.epoch}"
    columns = [Column(title=title, align="left")]
    for place, group in enumerate(groups):
        heading, style = group_cell(state, group)
        columns += [
            Column(title=heading, style=style),
            Column(title="UFM", rank=2 + place),
            Column(title="ratio", style=style, rank=1 + place),
        ]
    known = [key for key in NUMBERS if any(group.values(key, state.epoch) for group in groups)]
    cells = [
        [(label(key), ""), *(cell for group in groups for cell in _cells(state, group, key))]
        for key in known
    ]
    return Numbers(
        columns=columns,
        cells=cells,
        numbers=known,
        exact=lambda: side_by_side(state, groups, known, "UFM", lambda key: theory_key(key) or key),
        note=NOTE,
    )


def _cells(state: State, group: Group, key: str) -> list[Cell]:
    measured = group.value(key, state.epoch)
    theory = group.value(theory_key(key) or key, state.epoch)
    ratio = measured / theory if measured is not None and theory else None
    style = series_style(group.kind, state.look)
    return [
        (shown(measured), ""),
        (shown(theory), tint(state.look, "note")),
        ("–" if ratio is None else f"{ratio:.3g}×", style),
    ]
