"""A claim about a result that a script can check: `nc1 > 0.1`."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nccli.errors import UsageError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FORM = re.compile(r"^\s*(?P<name>[\w.]+)\s*(?P<sign><=|>=|==|!=|<|>)\s*(?P<number>\S+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A comparison of one field of a result with a number."""

    text: str
    name: str
    sign: str
    number: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read `FIELD OP NUMBER`; raises UsageError on any other form."""
        match = _FORM.match(text)
        number = _number(match["number"]) if match else None
        if match is None or number is None:
            raise UsageError(
                f"cannot read the condition '{text}'",
                remedy="write a field, one of < <= > >= == != and a number: 'nc1 > 0.1'",
            )
        return cls(text=text, name=match["name"], sign=match["sign"], number=number)

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError where the condition's field is none of these."""
        if self.name not in (known := list(names)):
            raise UsageError(f"no field '{self.name}'", remedy=_nearest(self.name, known))

    def holds(self, row: dict[str, Any]) -> bool | None:
        """Tell whether the condition is true of a row; None where the field is undefined.

        Raises UsageError where the row has no such field, or it is not a number.
        """
        self.check(row)
        value = row[self.name]
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"the field '{self.name}' is not a number")
        return _OPERATORS[self.sign](value, self.number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if number != number else number  # nothing compares with nan


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"fields: {', '.join(names)}"
