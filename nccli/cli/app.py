"""The command tree, and the one place where errors become lines and exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import typer

from nccli import __version__
from nccli.cli.analyze import analyze
from nccli.cli.calibrate import calibrate
from nccli.cli.check import check
from nccli.cli.compare import compare
from nccli.cli.console import say
from nccli.cli.demo import demo
from nccli.cli.extract import extract
from nccli.cli.figure import figure
from nccli.cli.hessian import hessian
from nccli.cli.import_ import import_
from nccli.cli.report import report
from nccli.cli.sweep import sweep
from nccli.cli.train import train
from nccli.cli.view import view
from nccli.errors import BUG, DONE, InputError, Interrupted, NccliError
from nccli.interrupts import interruptible
from nccli.text import visible

LONGEST_EPOCH = 11  # digits of SOURCE_DATE_EPOCH: later years are no dates to Python

app = typer.Typer(
    name="nccli",
    help="Neural collapse, last-layer conditioning and calibration of saved checkpoints.",
    epilog="Start with: nccli demo   Every command explains itself: nccli analyze --help",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    train,
    sweep,
    analyze,
    hessian,
    calibrate,
    compare,
    figure,
    report,
    view,
    check,
    demo,
):
    app.command()(command)
app.command("import")(import_)
app.command()(extract)


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", "-V", help="Show the version and exit."),
) -> None:
    if version:
        print(f"nccli {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; no traceback unless NCCLI_DEBUG=1."""
    debug = os.environ.get("NCCLI_DEBUG") == "1"
    _prepare_streams()
    _check_epoch()
    if not debug:
        warnings.simplefilter("ignore")  # numpy's warnings are for developers
    try:
        with interruptible():
            return _run(arguments)
    except NccliError as error:
        return _told(error, debug)
    except (KeyboardInterrupt, typer.Abort):
        return _told(Interrupted("interrupted"), debug)
    except BrokenPipeError:
        # the reader (head, less) has seen enough; keep Python quiet about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except MemoryError:
        say("nccli: not enough memory; give fewer or smaller files")
        return InputError.exit_code
    except OSError as error:
        name = "" if error.filename is None else f"{visible(error.filename)}: "
        say(f"nccli: {name}{error.strerror or visible(error)}; nothing more could be written")
        return InputError.exit_code
    except Exception as error:
        if debug:
            raise
        text = visible(error).strip()
        say(f"nccli: a bug in nccli: {type(error).__name__}: {text}; run it with NCCLI_DEBUG=1")
        return BUG


def _check_epoch() -> None:
    """Take a SOURCE_DATE_EPOCH away that is no time: libraries that read it would break off."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_EPOCH):
        del os.environ["SOURCE_DATE_EPOCH"]


def _prepare_streams() -> None:
    """Let every character be printed somehow, and closed streams swallow what is sent to them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="nccli", standalone_mode=False)
    except typer.TyperException as error:
        return _usage_error(error)
    except SystemExit:
        raise BrokenPipeError from None  # the one reason for which typer exits by itself here
    if code == Interrupted.exit_code:  # typer turns Ctrl-C into a silent exit
        raise KeyboardInterrupt
    sys.stdout.flush()
    return code if isinstance(code, int) else DONE


def _usage_error(error: typer.TyperException) -> int:
    message = str(getattr(error, "format_message", lambda: error)()).strip()
    if message.startswith("Usage:"):  # no command given: the help is the answer
        say(message)
    else:
        say(f"nccli: {visible(message)}; see nccli --help")
    return 2


def _told(error: NccliError, debug: bool) -> int:
    if debug:
        raise error
    say(f"nccli: {error}")
    return error.exit_code
