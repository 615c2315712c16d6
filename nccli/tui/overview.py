"""Tab 1: the paper's claims on the picked runs, the whole comparison, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from textual.geometry import Region, Size
from textual.widget import Widget

from nccli import compare
from nccli.compare import COMPARED, Claim
from nccli.tui.claim_list import ClaimList, Statements
from nccli.tui.comparison import comparison_numbers
from nccli.tui.defaults import BASELINE
from nccli.tui.entry import Group
from nccli.tui.number_table import NumberTable
from nccli.tui.pane import Pane, Rows, Stop
from nccli.tui.plan import NARROWEST
from nccli.tui.state import State
from nccli.tui.warnings import warnings_table

LOWEST_TABLE = 7
WHY_NOT = "They speak of cross-entropy against label smoothing: pick a CE and an LS run ([, space)."
WAITING = "They wait for a measured epoch of both."


class Overview(Pane):
    """Claims above, the comparison beneath."""

    def __init__(self, state: State, **options: Any) -> None:
        super().__init__(state, **options)
        self.claims = ClaimList(state, self._statements)
        self.table = NumberTable(state, lambda: comparison_numbers(state, COMPARED, trends=True))
        self.warnings = NumberTable(state, lambda: warnings_table(state))

    def compose(self) -> Iterator[Widget]:
        """The three lists."""
        yield from self.lists

    @property
    def lists(self) -> Sequence[Rows]:
        """Claims, numbers, warnings."""
        return (self.claims, self.table, self.warnings)

    @property
    def first_stop(self) -> Stop:
        """NC1, the number everything is about."""
        numbers = list(self.table.content.numbers)
        row = numbers.index("train.nc1") if "train.nc1" in numbers else 0
        return (self.table, row) if numbers else self.stops[0]

    def places(self, size: Size) -> list[tuple[Widget, Region]]:
        """Claims with their evidence if the table keeps some rows, else a line a claim."""
        if size.width < NARROWEST or size.height < LOWEST_TABLE + 4:
            return [(self.stop[0], size.region)]
        count = self.warnings.count
        below = min(count + 2, max(3, size.height // 9)) if count else 0
        above = self._above(Size(size.width, size.height - below))
        if not below:
            return above
        top = size.height - below + 1  # after a blank row
        return [*above, (self.warnings, Region(0, top, size.width, below - 1))]

    def _above(self, size: Size) -> list[tuple[Widget, Region]]:
        count = self.claims.count
        full, brief = self.claims.lines(size.width) * count + 2, count + 3
        rows = self.table.count + 1
        top = full if size.height - full >= min(rows, LOWEST_TABLE + 3) else brief
        top = min(top, size.height - LOWEST_TABLE) if count else 3
        return [
            (self.claims, Region(0, 0, size.width, top)),
            (self.table, Region(0, top, size.width, size.height - top)),
        ]

    def _statements(self) -> Statements:
        state = self.session
        first, rival = state.compared
        title = "The paper's claims (arXiv 2402.03979)"
        found = [] if first is None or rival is None else _claims(state, first, rival)
        if not found:
            waits = BASELINE in {group.name for group in state.groups} and rival is not None
            return Statements(heading=title, claims=(), missing=WAITING if waits else WHY_NOT)
        return Statements(heading=f"{_score(found)}: {title[0].lower()}{title[1:]}", claims=found)


def _claims(state: State, first: Group, rival: Group) -> list[Claim]:
    """The claims up to the cursor; none unless cross-entropy stands on one side."""
    one, two = (group.trajectories(state.epoch) for group in (first, rival))
    if not one or not two or one[0].group != BASELINE or two[0].group == BASELINE:
        return []
    return compare.claims(one, two)


def _score(found: Sequence[Claim]) -> str:
    """`6 supported, 4 undecided`."""
    verdicts = [claim.verdict for claim in found]
    order = ("supported", "not supported", "undecided")
    return ", ".join(f"{verdicts.count(one)} {one}" for one in order if one in verdicts)
