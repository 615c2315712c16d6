"""Words from anywhere as LaTeX that prints them and does nothing else."""

from __future__ import annotations

from nccli.text import visible

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", "|": "$|$",
    "–": "--", "—": "---", "…": r"\ldots{}", "’": "'", "−": "$-$", "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$", "→": r"$\to$", "←": r"$\leftarrow$", "≤": r"$\le$", "≥": r"$\ge$", "≠": r"$\ne$",
    "≈": r"$\approx$", "∞": r"$\infty$", "‖": r"$\|$", "√": r"$\sqrt{}$", "²": "$^2$", "⁺": "$^+$",
    "ᵀ": r"$^\top$", "Δ": r"$\Delta$", "Σ": r"$\Sigma$", "δ": r"$\delta$", "ε": r"$\varepsilon$",
    "κ": r"$\kappa$", "λ": r"$\lambda$", "μ": r"$\mu$", "σ": r"$\sigma$", "✓": r"$\checkmark$",
    "✗": r"$\times$", "▲": r"$\blacktriangle$", "●": r"$\bullet$",
}  # fmt: skip


def escaped(text: str) -> str:
    """Return text on one line, every character that LaTeX would act on escaped.

    Symbols need amssymb.
    """
    words = " ".join(visible(line) for line in text.split("\n")).split()
    return "".join(SPECIAL.get(character, character) for character in " ".join(words))
