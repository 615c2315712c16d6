"""The page itself: head, style, sections in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from nccli import __version__
from nccli.compare import Comparison
from nccli.groups import Group, Pair
from nccli.html import escaped
from nccli.report import sections
from nccli.report.figures import figures_section

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --line: #ccc; --soft: #666; --head: #f4f4f4; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #aaa; --head: #222; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { margin-top: 2.5rem; font-size: 1.25rem; }
nav a { margin-right: 1rem; white-space: nowrap; }
.soft, caption { color: var(--soft); } caption { text-align: left; padding: .4rem 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
thead th { background: var(--head); white-space: nowrap; } tbody th { font-weight: normal; }
.number { text-align: right; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-end; }
figure { margin: 0; background: white; color: black; padding: .5rem; max-width: 100%; }
figcaption { color: #555; font-size: .9rem; }
figure img { max-width: 100%; height: auto; display: block; }
.supported { color: #00704f; } .not-supported { color: #d55e00; } .undecided { color: var(--soft); }
@media (prefers-color-scheme: dark) { .supported { color: #4fc99f; } }
code { overflow-wrap: anywhere; } dt { font-weight: 600; margin-top: .6rem; }
@media print { nav { display: none; } figure, table { break-inside: avoid; } }
"""


def report_page(
    groups: Sequence[Group],
    pairs: Sequence[Pair],
    compared: Sequence[Sequence[Comparison]],
    *,
    title: str,
    command: str,
    when: datetime,
    cached: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> str:
    """Return the page as HTML.

    compared: the rows of `nccli.compare.compare` of each pair. cached: whether what is measured
    more for the figures is kept beside the runs. advance: called after each chart.
    Text from files is escaped. Figures are left out, and that is said, without matplotlib.
    """
    parts = [
        ("runs", "Runs", sections.runs(groups)),
        ("comparison", "Comparison", sections.comparisons(pairs, compared)),
        ("figures", "Figures", figures_section(groups, command, when, advance, cached=cached)),
        ("collapse", "Neural collapse", sections.collapse(groups)),
        ("calibration", "Calibration", sections.calibration(groups)),
        ("conditioning", "Last-layer conditioning", sections.conditioning(groups)),
        ("definitions", "Definitions", sections.definitions_section()),
        ("origin", "Where this is from", sections.origin(groups, command, when)),
    ]
    present = [part for part in parts if part[2]]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in present)
    body = "".join(
        f'<section id="{name}"><h2>{heading}</h2>{content}</section>'
        for name, heading, content in present
    )
    made = f"nccli {__version__}, {when:%Y-%m-%d %H:%M} UTC"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head><body>"
        f'<h1>{escaped(title)}</h1><p class="soft">{made}</p><nav>{links}</nav>{body}'
        f"</body></html>\n"
    )
