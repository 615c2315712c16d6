"""Signed numbers as cells: blue below zero, orange above it, and glyphs that say the same."""

from dataclasses import dataclass
from functools import cache

from nccli.charts.palette import channels, mixed
from nccli.charts.parts import Look

STEPS = 16  # shades on each side of zero: finer ones cost bytes over SSH and show no more
QUIET = 0.6  # how far quiet text is from its background to black or white: about 3:1
NEUTRAL_BAND = 1 / 8  # of the scale, on each side of zero: no sign is shown

# (below zero, zero, above zero). Zero is near the surface, so that distance from zero is what
# stands out of it; blue and orange differ for every kind of colour blindness.
DARK = ("#56b4e9", "#2c2c2c", "#f0a30a")
LIGHT = ("#0072b2", "#f2f2f2", "#b85c00")

# Without colours, from zero outwards: lines below zero, fills above it.
BELOW, ABOVE = "·─═≡", "·░▒█"
ASCII_BELOW, ASCII_ABOVE = ".-~=", ".+*#"
LEVELS = (NEUTRAL_BAND, 3 / 8, 6 / 8)  # of the scale: where one glyph ends and the next begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverging:
    """A scale from `-limit` to `limit`; what lies beyond is drawn as its end."""

    limit: float
    look: Look

    def place(self, value: float) -> float:
        """Where a value lies on the scale, in [-1, 1]."""
        return max(-1.0, min(1.0, value / self.limit))

    def style(self, value: float, *, quiet: bool = False) -> str:
        """Text colour and background of a cell; empty without colours.

        `quiet` text steps back behind the colour: a sign is there for who cannot see the hue.
        """
        if not self.look.colour:
            return ""
        shades = LIGHT_SHADES if self.look.light else DARK_SHADES
        shade = shades[round(self.place(value) * STEPS) + STEPS]
        text = _text_on(shade)
        return f"{mixed(shade, text, QUIET) if quiet else text} on {shade}"

    def glyph(self, value: float) -> str:
        """The character that fills a cell which has no room for its number.

        With colours a sign is enough: at collapse nearly every pair is below zero, so the plus
        marks those that are not.
        """
        place = self.place(value)
        if self.look.colour:
            return "+" if place > NEUTRAL_BAND else " "
        level = sum(abs(place) > edge for edge in LEVELS)
        if self.look.ascii:
            return (ASCII_ABOVE if place > 0 else ASCII_BELOW)[level]
        return (ABOVE if place > 0 else BELOW)[level]


def _shades(below: str, zero: str, above: str) -> tuple[str, ...]:
    """All shades, from the lower end of the scale to the upper one."""
    down = [mixed(zero, below, step / STEPS) for step in range(STEPS, 0, -1)]
    up = [mixed(zero, above, step / STEPS) for step in range(STEPS + 1)]
    return (*down, *up)


@cache
def _text_on(shade: str) -> str:
    """Black or white, whichever stands out more: never below 4.5:1."""
    linear = [_linear(channel / 255) for channel in channels(shade)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]  # WCAG 2
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def _linear(share: float) -> float:
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)


DARK_SHADES = _shades(*DARK)
LIGHT_SHADES = _shades(*LIGHT)
