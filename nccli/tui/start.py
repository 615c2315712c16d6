"""Where a session starts: what `nccli view` was asked to show, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nccli.errors import UsageError
from nccli.tui.prompt import read_level
from nccli.tui.readings import meaning
from nccli.tui.view import MODES, MOST_ZOOM, TABS, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a link names; whatever is None or empty is as the session before had it."""

    tab: str | None = None
    chosen: Sequence[str] = ()  # names of runs; none: as `view` would pick
    epoch: int | None = None
    mode: str | None = None  # of the tab
    zoom: int = 0
    rival: str | None = None  # the group that the first is compared with
    levels: Mapping[str, float] = field(default_factory=dict)  # thresholds, by number

    def checked(self, remembered: View) -> Start:
        """Return itself; raises UsageError on what no session has."""
        if self.tab is not None and self.tab not in TABS:
            raise UsageError(f"unknown tab '{self.tab}'", remedy=f"try one of: {', '.join(TABS)}")
        modes = MODES.get(self.tab or remembered.tab, ())
        if self.mode is not None and self.mode not in modes:
            remedy = f"try one of: {', '.join(modes)}" if modes else "open another with --tab"
            raise UsageError(f"this tab has no mode '{self.mode}'", remedy=remedy)
        if not 0 <= self.zoom <= MOST_ZOOM:
            raise UsageError(f"--zoom must be 0 to {MOST_ZOOM}, got {self.zoom}")
        return self

    def apply(self, view: View) -> None:
        """Set the switches that a link names."""
        view.tab = self.tab or view.tab
        if self.mode is not None:
            view.modes = {**view.modes, view.tab: self.mode}  # type: ignore[dict-item]
        view.zoom = self.zoom
        view.levels = dict(self.levels)

    def without(self, switches: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
        """Return switches to remember: a link is followed once, unless they were changed since."""
        kept = dict(switches)
        if self.tab is not None and self.tab == switches["tab"]:
            kept["tab"] = usual["tab"]
        tab = self.tab or usual["tab"]
        if self.mode is not None and switches["modes"].get(tab) == self.mode:
            kept["modes"] = {name: mode for name, mode in switches["modes"].items() if name != tab}
            if tab in usual["modes"]:
                kept["modes"][tab] = usual["modes"][tab]
        return kept


USUAL = Start()


def read_levels(words: Sequence[str]) -> dict[str, float]:
    """Return thresholds given as `train.nc1=0.1`. Raises UsageError."""
    found = {}
    for word in words:
        key, _, text = word.partition("=")
        level = read_level(text)
        if level is None:
            raise UsageError(f"--level must be NUMBER=VALUE, got '{word}'", remedy="train.nc1=0.1")
        try:
            meaning(key)
        except (KeyError, AttributeError, TypeError, ValueError, IndexError):
            raise UsageError(
                f"no number is called '{key}'", remedy="train.nc1, calibration.ece, hessian.trace_w"
            ) from None
        found[key] = level
    return found
