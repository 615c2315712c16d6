"""`nccli check`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from nccli.cli import console
from nccli.errors import DONE, SOME_INPUTS_FAILED

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nccli.validate import Finding


def check(
    paths: list[str] = typer.Argument(help=console.PATHS_HELP, show_default=False),
    form: str = typer.Option("auto", "--format", "-f", help=console.FORMAT_HELP),
) -> None:
    """Validate checkpoints: say what is wrong, where, and how to mend it.

    Reads every array in full: format, shapes, types, label range, finite numbers.

    \b
    Examples:
      nccli check sample_data/runs
      nccli check 'sample_data/runs/*' --format json
    """
    from nccli.render import rendered, resolve_format
    from nccli.runs import expand
    from nccli.validate import validate

    form = resolve_format(form, terminal=sys.stdout.isatty())
    findings = [validate(item) for item in expand(console.input_words(paths))]
    if form == "table":
        console.console().print(_table(findings))
    else:
        sys.stdout.write(rendered(findings, form=form))
    bad = [finding for finding in findings if not finding.ok]
    for finding in bad:
        console.say(f"nccli: {finding.message}")
    if bad and len(bad) == len(findings):
        raise typer.Exit(console.NO_INPUT_USED)
    raise typer.Exit(SOME_INPUTS_FAILED if bad else DONE)


def _table(findings: list[Finding]) -> RenderableType:
    from nccli.tables import findings_table

    return findings_table(findings)
