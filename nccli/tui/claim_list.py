"""The paper's statements, what the picked runs say of each, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textual.events import Click

from nccli.compare import Claim
from nccli.tui.listed import Listed
from nccli.tui.messages import Chosen
from nccli.tui.palette import tint
from nccli.tui.rows import Line, Row, over, wrapped
from nccli.tui.state import State

SIGNS = {"supported": "✓", "not supported": "✗", "undecided": "?"}
SEVEN_BIT_SIGNS = {"supported": "+", "not supported": "x", "undecided": "?"}
VERDICT = 16  # cells of sign and verdict
STATEMENT = 62  # cells of the longest statement, for the evidence beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The claims with their heading; where there are none, `missing` says what it takes."""

    heading: str
    claims: Sequence[Claim]
    missing: str = ""


class ClaimList(Listed[Statements]):
    """One claim a line or two, as the room allows; the one in focus always has its evidence."""

    DEFAULT_CSS = """
    ClaimList { padding: 0 1; }
    """

    def __init__(self, state: State, source: Callable[[], Statements], **options: Any) -> None:
        super().__init__(state, source, **options)
        self._lines = 1  # rows on the screen that each claim has

    @property
    def count(self) -> int:
        """How many claims there are."""
        return len(self.content.claims)

    @property
    def number(self) -> str | None:
        """A claim is no single number."""
        return None

    @property
    def claim(self) -> Claim | None:
        """The claim in focus."""
        claims = self.content.claims
        return claims[min(self.row, len(claims) - 1)] if claims else None

    def lines(self, width: int) -> int:
        """Rows that a claim takes with its evidence: beside it where there is room, else under."""
        return 1 if width >= VERDICT + STATEMENT + STATEMENT else 2

    def paint(self, width: int, height: int) -> Sequence[Row]:
        """Heading, claims, and as much evidence as there is room for."""
        found, look = self.content, self.session.look
        heading = Line(width, look).add(found.heading, tint(look, "strong")).row()
        if not found.claims:
            return [heading, *wrapped(found.missing, width, look, style=tint(look, "note"))]
        beside = self.lines(width) == 1
        under = not beside and height > 2 * len(found.claims)
        self._lines = 2 if under else 1
        rows: list[Row] = []
        for index, claim in enumerate(found.claims):
            block = self._block(claim, width, beside=beside, under=under)
            if self.active and index == self.row:
                block = [over(row, tint(look, "selected"), width) for row in block]
            rows += block
        return [heading, *self._in_view(rows, height - 1, width, told=beside or under)]

    def _block(self, claim: Claim, width: int, *, beside: bool, under: bool) -> list[Row]:
        look = self.session.look
        signs = SEVEN_BIT_SIGNS if look.ascii else SIGNS
        line = Line(width, look)
        start = VERDICT if width >= VERDICT + STATEMENT else 2
        verdict = f"{signs[claim.verdict]} {claim.verdict}"
        line.add(verdict[: start - 1], tint(look, claim.verdict)).to(start).add(claim.statement)
        if beside:
            line.to(VERDICT + STATEMENT).add(claim.evidence, tint(look, "note"))
        below = Line(width, look).to(start).add(claim.evidence, tint(look, "note")).row()
        return [line.row(), below] if under else [line.row()]

    def _in_view(self, rows: list[Row], room: int, width: int, *, told: bool) -> list[Row]:
        """The rows around the claim in focus; its evidence last, where it is not told yet."""
        claim = self.claim if self.active and not told and room > 2 else None
        room -= claim is not None
        lowest = (self.row + 1) * self._lines - room
        first = min(max(self._first, lowest), self.row * self._lines)
        self._first = max(0, min(first, len(rows) - room))
        shown = rows[self._first : self._first + room]
        if claim is None:
            return shown
        look = self.session.look
        evidence = Line(width, look).to(2).add(claim.evidence, tint(look, "note")).row()
        return [*shown, evidence]

    def on_click(self, event: Click) -> None:
        """A click puts the claim in focus."""
        place = (event.y - 1 + self._first) // self._lines
        if event.y >= 1 and 0 <= place < self.count:
            self.row = place
            self.post_message(Chosen(self))
