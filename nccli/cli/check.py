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


def check(
    paths: list[str] = typer.Argument(help=console.PATHS_HELP, show_default=False),
    contents: bool = typer.Option(False, "--contents", help=CONTENTS_HELP),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
) -> None:
    """Validate checkpoints: say what is wrong, where, and how to mend it.

    Reads every array in full: format, shapes, types, label range, finite numbers. --contents lists
    what stands in each file, foreign HDF5 files too; links are named and never followed.

    \b
    Examples:
      nccli check sample_data/runs
      nccli check 'sample_data/runs/*' --format json
      nccli check sample_data/runs/digits-mlp-ls0.05-s0@last --contents
    """
    from nccli.render import rendered, resolve_format
    from nccli.runs import expand
    from nccli.validate import validate

    form = resolve_format(form, terminal=sys.stdout.isatty())
    findings = [validate(item) for item in expand(console.input_words(paths))]
    shown = _with_contents(findings) if contents else findings
    if form == "table":
        console.console().print(_table(shown))
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
