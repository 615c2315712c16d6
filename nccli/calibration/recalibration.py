"""What predictions are scored with once more, and what that was fitted on."""

from __future__ import annotations

import numpy as np

from nccli.calibration.predictions import Predictions
from nccli.calibration.statistics import Scaling
from nccli.calibration.temperature import (
    Temperature,
    cross_fit,
    fit_temperature,
    stratified_folds,
)
from nccli.logits import Integers
from nccli.text import plural


class Recalibration:
    """What the predictions are scored with once more, and what it was fitted on."""

    def __init__(
        self,
        found: Predictions,
        fitted_on: Predictions | None,
        *,
        split: str,
        fit: str | None,
        folds: int,
        method: str,
    ) -> None:
        self._found, self._fitted_on, self._folds = found, fitted_on, folds
        self._split, self._fit, self._method = split, fit, method
        self.predictions: Predictions | None = None
        self.scaling: Scaling | None = None
        self.whole: Temperature
        self.fold_temperatures: tuple[float | None, ...] = ()
        self.description = ""
        self.notes: list[str] = []

    def run(self, *, paper: bool) -> None:
        """Fit, by folds unless told otherwise."""
        by_folds = self._fitted_on is None and not paper
        few = by_folds and self._found.count < self._folds
        folds_N = np.zeros(self._found.count, np.int64)
        if by_folds and not few:
            folds_N = stratified_folds(self._found.labels_N, folds=self._folds)
        where = "cross-fitted" if by_folds else f"fitted on {self._fit or self._split}"
        if paper:
            where += ", the scored split itself"
        self.description = f"{self._method}, {where}"
        if few:
            self.whole = fit_temperature(self._found)
            self._undefined(f"{plural(self._found.count, 'sample')}, {self._folds} folds")
        elif self._method == "temperature":
            self._temperature(folds_N, by_folds=by_folds)
        else:
            from nccli.calibration.maps import recalibrate  # scipy takes longer than a small file

            self.whole = fit_temperature(self._found)
            fitted_on = self._found if paper else self._fitted_on
            found = recalibrate(self._method, self._found, folds_N, fitted_on)
            self.predictions = found.predictions
            if not found.converged:
                self.notes.append(f"calibrated is provisional: {self._method} did not converge")

    def _temperature(self, folds_N: Integers, *, by_folds: bool) -> None:
        if by_folds:
            both = cross_fit(self._found, folds_N, folds=self._folds)
            self.whole, used = both.whole, both.others
            self.fold_temperatures = tuple(one.value for one in used)
        else:
            self.whole = fit_temperature(self._found)
            other = self._fitted_on
            used = (self.whole if other is None else fit_temperature(other),)
            if other is not None and used[0].value is not None:
                self.description += f", T = {used[0].value:.4g}"
        values = [one.value for one in used]
        failed = next((one.status for one in used if one.value is None), None)
        if failed is not None:
            where = "" if self._fit is None else f" on {self._fit}"
            self._undefined(f"temperature{where} {failed}")
            return
        inverses_F = 1.0 / np.array(values, dtype=np.float64)
        self.predictions = self._found
        self.scaling = Scaling(inverses_F=inverses_F, folds_N=folds_N.astype(np.int32))

    def _undefined(self, why: str) -> None:
        self.notes.append(f"calibrated is undefined: {why}")
