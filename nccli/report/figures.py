"""The figures of the page: every chart that has numbers, as pictures that stand in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime

from nccli.errors import ContentError, MissingExtraError
from nccli.export import Origin, exported
from nccli.groups import Group
from nccli.html import escaped
from nccli.plots import charts

DRAWN = (
    "collapse", "train.nc2_classifier", "train.cdnv", "train.nontarget_logit_spread",
    "train.weight_norm", "train.feature_norm", "test.accuracy", "test.nc1", "calibration.nll",
    "calibration.temperature", "reliability", "reliability-after", "gram", "spectrum", "density",
    "hessian.kappa_means_w", "hessian.kappa_regularised_w",
)  # fmt: skip


def figures_section(
    groups: Sequence[Group],
    command: str,
    when: datetime,
    advance: Callable[[], None],
    *,
    cached: bool,
) -> str:
    """Return every chart that has numbers, with what it shows beneath it."""
    found = []
    known = charts(cached=cached)
    for name in DRAWN:
        chart = known[name]
        try:
            plotted = chart.plot(groups)
            # the files are listed once, at the end of the page
            picture = exported(plotted, Origin(command=command), "svg", when=when)
        except ContentError:
            advance()
            continue
        except MissingExtraError as error:
            return f"<p>No figures: {escaped(error)}</p>"
        found.append(_figure(picture, chart.means[0].upper() + chart.means[1:]))
        advance()
    return f'<div class="figures">{"".join(found)}</div>' if found else ""


def _figure(picture: bytes, words: str) -> str:
    data = base64.b64encode(picture).decode("ascii")
    return (
        f'<figure><img alt="{escaped(words)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escaped(words)}</figcaption></figure>"
    )
