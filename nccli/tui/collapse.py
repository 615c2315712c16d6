"""Tab 2: NC1 to NC4, CDNV and norms over the epochs, and every collapse number at the cursor."""

from __future__ import annotations

from typing import Any

from nccli.collapse_report import CollapseReport
from nccli.result import quantities
from nccli.tui.comparison import comparison_numbers
from nccli.tui.curves_pane import CurvesPane
from nccli.tui.readings import compared_rows
from nccli.tui.state import State

CHARTS = (
    ("train.nc1", "NC1 within-class variability"),
    ("train.nc2_features", "NC2 means → simplex ETF"),
    ("train.nc3", "NC3 self-duality"),
    ("test.nc4", "NC4 nearest centre, test"),
    ("test.nc1", "NC1 within-class variability, test"),
    ("train.cdnv", "CDNV"),
    ("test.cdnv", "CDNV, test"),
    ("train.nc2_classifier", "NC2 classifier → simplex ETF"),
    ("train.weight_norm", "norm of w_k, mean"),
    ("train.feature_norm", "norm of h_i, mean"),
    ("train.nontarget_logit_spread", "non-target logit spread"),
    ("test.accuracy", "accuracy, test"),
)
_CHOSEN = (
    *("train.nc1", "test.nc1", "train.nc2_features", "train.nc2_classifier", "train.nc2_duality"),
    *("train.nc3", "train.nc4", "test.nc4", "train.cdnv", "test.cdnv"),
    *("train.nontarget_logit_spread", "train.weight_norm", "train.feature_norm"),
    *("calibration.ece", "train.accuracy", "test.accuracy", "train.loss", "test.loss"),
)
# a metric that tables of one line a checkpoint show is shown here, too
_BRIEF = tuple(
    f"train.{name}"
    for name, meaning in quantities(CollapseReport).items()
    if meaning.brief and name not in ("epoch", "split")
)
NUMBERS = tuple(dict.fromkeys((*_CHOSEN, *_BRIEF)))


class Collapse(CurvesPane):
    """Curves above the numbers."""

    CURVES = CHARTS

    def __init__(self, state: State, **options: Any) -> None:
        rows = compared_rows(NUMBERS)
        super().__init__(state, lambda: comparison_numbers(state, rows), **options)
