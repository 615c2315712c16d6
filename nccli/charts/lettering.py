"""Words and numbers that fit: one cell per character, cut to length, digits for people."""

import math
import unicodedata

from nccli.charts.parts import Look
from nccli.text import visible

# Marks (combining), controls, formats, surrogates and unassigned code points have no width of
# their own or none that terminals agree on.
UNSIZED = {"Mn", "Me", "Mc", "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Characters terminals disagree on: Hangul vowels that join the cell before them, hexagrams that
# Unicode 16 made wide, and emoji.
UNSURE = (
    range(0x1160, 0x1200),
    range(0x2630, 0x2638),
    range(0x268A, 0x2690),
    range(0x4DC0, 0x4E00),
    range(0xD7B0, 0xD800),
    range(0xFFA0, 0xFFA1),
    range(0x1D300, 0x1D377),
    range(0x1F000, 0x110000),
)
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# What our own titles and labels are made of, for 7-bit terminals.
SPELLINGS = {
    "…": "...", "→": "->", "←": "<-", "⇄": "<->", "−": "-", "–": "-", "—": "-", "×": "x",
    "÷": "/", "≠": "*",
    "·": "*", "±": "+-", "≤": "<=", "≥": ">=", "≈": "~", "‖": "||", "∞": "inf", "√": "sqrt",
    "↑": "^", "↓": "v", "°": "deg", "†": "+", "⁺": "+", "⁻": "-", "“": '"', "”": '"', "’": "'",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "mu", "ρ": "rho", "σ": "sigma", "τ": "tau",
    "φ": "phi", "ω": "omega", "Δ": "Delta", "Λ": "Lambda", "Σ": "Sigma", "∑": "sum",
}  # fmt: skip


def clean(text: object, look: Look) -> str:
    """`text` as harmless single-cell characters; 7-bit when the look asks for it.

    Controls come out as escapes (`nccli.text.visible`), and so do characters which are not
    exactly one cell wide (CJK, emoji, lone combining marks): a row must not shift.
    """
    words = str(text)
    if words.isascii() and words.isprintable():
        return words  # nearly always
    # Composed first: a combining mark must not join the last letter of an escape.
    composed = visible(unicodedata.normalize("NFC", words))
    if look.ascii:
        return "".join(_seven_bit(character) for character in composed)
    return "".join(c if _one_cell(c) else _escape(c) for c in composed)


def fit(text: object, room: int, look: Look) -> str:
    """`text`, cleaned and cut to `room` cells with an ellipsis at the cut."""
    cleaned = clean(text, look)
    if len(cleaned) <= room:
        return cleaned
    dots = "..." if look.ascii else "…"
    return cleaned[: room - len(dots)] + dots if room > len(dots) else dots[: max(0, room)]


def short(value: float) -> str:
    """Three significant digits, shortest form: `0.22`, `1.2e5`, `8.6e-5`, `0`."""
    text = f"{value:.3g}"
    if "e" not in text:
        return "0" if text == "-0" else text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def scientific(mantissa: float, exponent: int, look: Look, *, digits: int = 0) -> str:
    """A power of ten for an axis: `10⁻²`, `2×10⁻⁵`; `1e-2`, `2e-5` in ASCII."""
    if mantissa == 0:
        return "0"
    head = f"{mantissa:.{digits}f}"
    head = head.rstrip("0").rstrip(".") if "." in head else head
    if look.ascii:
        return f"{head}e{exponent}"
    power = "10" + str(exponent).translate(SUPERSCRIPTS)
    return {"1": power, "-1": f"-{power}"}.get(head, f"{head}×{power}")


def decimal(value: float, digits: int) -> str:
    """`value` with a fixed number of decimals, and no minus sign on a zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def split(value: float, digits: int) -> tuple[float, int]:
    """Mantissa and power of ten after rounding to `digits` decimals: 0.00996 gives (1.0, -2)."""
    if not math.isfinite(value):
        return value, 0
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return float(mantissa), int(exponent)


def _one_cell(character: str) -> bool:
    """Whether every terminal gives this character exactly one cell."""
    point = ord(character)
    if 0x20 <= point < 0x7F:
        return True
    if unicodedata.category(character) in UNSIZED or any(point in unsure for unsure in UNSURE):
        return False
    return unicodedata.east_asian_width(character) not in "WF"


def _seven_bit(character: str) -> str:
    """An ASCII spelling: known symbols by name, accents dropped, the rest as an escape."""
    if character.isascii():
        return character
    if character in SPELLINGS:
        return SPELLINGS[character]
    base = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii())
    return base or _escape(character)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
