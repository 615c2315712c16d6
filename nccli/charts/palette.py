"""Markers and colours, always chosen together: meaning is never colour alone."""

from functools import cache

from nccli.charts.parts import Look

MARKERS = "●▲■◆✚○△□"
ASCII_MARKERS = "o^#x+*%@"

# Okabe & Ito's colour-blind-safe set, ordered so that neighbours differ in lightness too;
# black, unreadable on a dark surface, became grey.
DARK = (
    "#56b4e9",  # sky
    "#e69f00",  # orange
    "#009e73",  # bluish green
    "#cc79a7",  # reddish purple
    "#f0e442",  # yellow
    "#d55e00",  # vermillion
    "#2f8fd0",  # blue, lightened from #0072b2 for 3:1 on #1e1e1e
    "#bbbbbb",  # grey
)
# The same hues darkened until they hold 3:1 on white and on Textual's #e0e0e0.
LIGHT = (
    "#0072b2",
    "#9c5700",
    "#00704f",
    "#a3386f",
    "#6b6200",
    "#b34700",
    "#3b3b98",
    "#555555",
)

# What a series colour is mixed with to step back; as dark and as light as surfaces get.
DARK_SURFACE, LIGHT_SURFACE = "#121212", "#f0f0f0"
FAINT = 0.55  # how far a faint colour is from the surface to the colour itself; by eye

# role: (dark surface, light surface, without colours)
INK = {
    "title": ("bold", "bold", "bold"),
    "text": ("", "", ""),
    "note": ("#8c8c8c", "#666666", "dim"),
    "axis": ("#8c8c8c", "#666666", "dim"),
    "grid": ("#444444", "#b8b8b8", "dim"),
    "cursor": ("#dddddd", "#333333", ""),
    "reference": ("#b8b8b8", "#4a4a4a", ""),
    "cap": ("bold #f5f5f5", "bold #111111", "bold"),
    "over": ("#d55e00", "#d55e00", ""),
    "under": ("#009e73", "#009e73", ""),
    "over tint": ("#742f09", "#e2a378", ""),  # half `over`, half surface: what `▒` looks like
    "under tint": ("#057a5a", "#38ac8a", ""),  # three quarters `under`: what `▓` looks like
    "count": ("#8c8c8c", "#666666", "dim"),
    "broken": ("#f0796b", "#b3261e", "bold"),
}


def ink(look: Look, role: str) -> str:
    """Style of a part of the chart that belongs to no series."""
    dark, light, plain = INK[role]
    if not look.colour:
        return plain
    return light if look.light else dark


def mark(kind: int, look: Look) -> str:
    """The one-cell marker of a series kind."""
    markers = ASCII_MARKERS if look.ascii else MARKERS
    return markers[kind % len(markers)]


def series_style(kind: int, look: Look) -> str:
    """The colour of a series kind; empty without colours."""
    if not look.colour:
        return ""
    colours = LIGHT if look.light else DARK
    return colours[kind % len(colours)]


def faint(kind: int, look: Look) -> str:
    """The colour of a series kind, stepped back towards the surface; `dim` without colours."""
    if not look.colour:
        return "dim"
    return mixed(LIGHT_SURFACE if look.light else DARK_SURFACE, series_style(kind, look), FAINT)


@cache
def mixed(start: str, end: str, share: float) -> str:
    """The colour at `share` of the way from `start` (0) to `end` (1), all as #rrggbb."""
    pairs = zip(channels(start), channels(end), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def channels(colour: str) -> list[int]:
    """Red, green and blue of #rrggbb, 0 to 255."""
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def bold(style: str) -> str:
    """The same style in bold."""
    return f"bold {style}".strip()


def layered(style: str, surface: str) -> str:
    """`style` painted over a filled cell; without colours there is nothing to fill with."""
    return f"{style} on {surface}" if surface else style
