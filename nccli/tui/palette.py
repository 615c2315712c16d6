"""How the screen may look: what the terminal can show, and the colours of everything but charts.

Hues belong to the data (`nccli.charts.palette`); the frame around it is grey, and a verdict has
its sign beside its colour.
"""

from collections.abc import Mapping

from textual.theme import Theme

from nccli.charts import Look
from nccli.charts.palette import ink
from nccli.text import is_seven_bit

DARK_THEME = Theme(
    name="nccli-dark",
    primary="#9aa7b4",
    background="#121417",
    surface="#181b1f",
    panel="#22272d",
    foreground="#dfe3e7",
    dark=True,
)
LIGHT_THEME = Theme(
    name="nccli-light",
    primary="#4c5a67",
    background="#f4f4f2",
    surface="#eaeae7",
    panel="#dcdcd8",
    foreground="#1c1f22",
    dark=False,
)

# role: (dark surface, light surface, without colours)
_ROLES = {
    "strong": ("bold", "bold", "bold"),
    "key": ("bold #f5f5f5", "bold #111111", "bold"),
    "here": ("bold underline", "bold underline", "bold underline"),
    "selected": ("on #343b44", "on #cfd6dd", "reverse"),
    "supported": ("#5fc98a", "#1f7a44", "bold"),
    "not supported": ("#f0796b", "#b3261e", "bold"),
    "undecided": ("#9aa0a6", "#5f6368", ""),
    "trouble": ("#f0796b", "#b3261e", "bold"),
    "live": ("#5fc98a", "#1f7a44", "bold"),
}


def tint(look: Look, role: str) -> str:
    """Style of a part of the screen; roles that are not ours are those of the charts."""
    if role not in _ROLES:
        return ink(look, role)
    dark, light, plain = _ROLES[role]
    if not look.colour:
        return plain
    return light if look.light else dark


def detect_look(
    environment: Mapping[str, str], *, encoding: str | None, colour: bool, light: bool
) -> Look:
    """What the terminal can show: 7-bit characters where its encoding or TERM say so."""
    dumb = environment.get("TERM") == "dumb"
    return Look(
        colour=colour,
        ascii=dumb or is_seven_bit(environment, encoding),
        light=light,
    )


def prefers_light(environment: Mapping[str, str]) -> bool:
    """Whether the terminal says that its background is light (COLORFGBG, set by some)."""
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return background in ("7", "15")
