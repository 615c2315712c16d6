"""How things are shown: the tab and its switches. Knows no data and no Textual."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

TABS = ("overview", "collapse", "hessian", "calibration", "gram", "files", "notes")
Mode = Literal["overlay", "side by side", "difference", "ratio"]
MODES: dict[str, tuple[Mode, ...]] = {  # of each tab that has several, its first when it is opened
    "collapse": ("overlay", "side by side", "difference", "ratio"),
    "hessian": ("overlay", "side by side", "difference", "ratio"),
    "calibration": ("side by side", "overlay", "difference"),
    "gram": ("side by side", "difference"),
}
MOST_ZOOM = 6  # a sixty-fourth of the epochs


@dataclass(slots=True, kw_only=True)
class View:
    """The open tab and its switches; what a later session remembers is `remembered`."""

    tab: str = TABS[0]
    log: bool = True  # the y axes
    epochs_log: bool | None = None  # None: as the saved epochs are spaced
    modes: dict[str, Mode] = field(default_factory=dict)  # of the tabs where one was chosen
    calibrated: bool = False  # after temperature scaling
    bins: bool = False  # the bins, where else the scores are
    fit: bool = False  # y axes fit the data, and have no room for the theory's marks
    zoom: int = 0  # the epochs are halved so many times, around the cursor
    levels: dict[str, float] = field(default_factory=dict)  # thresholds, by number

    @property
    def mode(self) -> Mode:
        """How the open tab lays groups beside each other."""
        return self.modes.get(self.tab, MODES.get(self.tab, ("overlay",))[0])

    def next_mode(self) -> None:
        """The next of the open tab's modes."""
        modes = MODES.get(self.tab, ())
        if modes:
            self.modes[self.tab] = modes[(modes.index(self.mode) + 1) % len(modes)]

    def zoom_by(self, steps: int) -> None:
        """Half as many epochs, or twice."""
        self.zoom = max(0, min(MOST_ZOOM, self.zoom + steps))

    def window(
        self, first: float, last: float, cursor: float, *, log: bool
    ) -> tuple[float, float] | None:
        """The epochs in view: around the cursor, within the saved ones; None where all are."""
        if not self.zoom or last <= first:
            return None
        into, back = (math.log, math.exp) if log and first > 0 else (float, float)
        low, high, middle = into(first), into(last), into(cursor)
        span = (high - low) / 2**self.zoom
        start = max(low, min(middle - span / 2, high - span))
        end = start + span
        # the saved ends themselves, which their logarithms miss by a hair; the cursor is inside
        left = first if start <= low else min(back(start), cursor)
        right = last if end >= high * (1 - 1e-12) else max(back(end), cursor)
        return left, right

    # --- what a later session starts with -------------------------------------------------------

    @property
    def remembered(self) -> dict[str, Any]:
        """The switches as JSON can hold them."""
        return {
            "tab": self.tab,
            "log": self.log,
            "epochs_log": self.epochs_log,
            "modes": dict(self.modes),
            "calibrated": self.calibrated,
            "bins": self.bins,
            "fit": self.fit,
        }

    def recall(self, values: Any) -> None:
        """Take over what was remembered; whatever does not fit is left out."""
        if not isinstance(values, dict):
            return
        for name in ("log", "calibrated", "bins", "fit"):
            if isinstance(values.get(name), bool):
                setattr(self, name, values[name])
        if values.get("tab") in TABS:
            self.tab = values["tab"]
        if isinstance(values.get("epochs_log"), bool):
            self.epochs_log = values["epochs_log"]
        modes = values.get("modes")
        if isinstance(modes, dict):
            self.modes = {tab: mode for tab, mode in modes.items() if mode in MODES.get(tab, ())}
