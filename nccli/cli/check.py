"""`nccli check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.errors import DONE, SOME_INPUTS_FAILED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.contents import Listing
    from nccli.validate import Finding

CONTENTS_HELP = (
    "List names, shapes, types and attributes in each file, and what each data set is read for."
)
VERIFY_HELP = (
    "Recompute the content hash: is the content what was written? A file without one fails."
)
STRICT_HELP = (
    "Count as wrong what is unusual but usable: absent classes, other logits, no classifier."
)


def check(
    paths: list[str] = typer.Argument(help=console.PATHS_HELP, show_default=False),
    contents: bool = typer.Option(False, "--contents", help=CONTENTS_HELP),
    verify: bool = typer.Option(False, "--verify", help=VERIFY_HELP),
    strict: bool = typer.Option(False, "--strict", help=STRICT_HELP),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
) -> None:
    """Validate checkpoints: say what is wrong, where, and how to mend it.

    Four levels: identity (an HDF5 file of our format), structure (names, links, types, shapes,
    storage), integrity (with --verify: the hash of the content), semantics (finite numbers, labels
    in range, logits that are W h + b, classes present). --contents lists what stands in each file,
    foreign HDF5 files too; links are named and never followed.

    \b
    Examples:
      nccli check sample_data/runs
      nccli check 'sample_data/runs/*' --verify --format json
      nccli check sample_data/runs/digits-mlp-ls0.05-s0@last --contents
    """
    from nccli.render import FOR_PEOPLE, rendered, resolve_format
    from nccli.runs import expand
    from nccli.validate import validate

    form = resolve_format(form, terminal=sys.stdout.isatty())
    items = expand(console.input_words(paths))
    findings = [validate(item, verify=verify, strict=strict) for item in items]
    shown = _with_contents(findings) if contents else findings
    if form in FOR_PEOPLE:
        console.show(_table(shown), form=form)
    else:
        sys.stdout.write(rendered(shown, form=form))
    bad = [finding for finding in findings if not finding.ok]
    for finding in bad:
        console.say(f"nccli: {finding.message}")
    if bad and len(bad) == len(findings):
        raise typer.Exit(console.NO_INPUT_USED)
    raise typer.Exit(SOME_INPUTS_FAILED if bad else DONE)


def _with_contents(findings: Sequence[Finding]) -> list[Listing]:
    from nccli.contents import listing

    return [listing(finding) for finding in findings]


def _table(shown: Sequence[Finding | Listing]) -> RenderableType:
    from nccli.contents import Listing
    from nccli.contents_table import contents_tables
    from nccli.tables import findings_table

    listings = [one for one in shown if isinstance(one, Listing)]
    findings = [one for one in shown if not isinstance(one, Listing)]
    return contents_tables(listings) if listings else findings_table(findings)
