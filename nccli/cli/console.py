"""stdout is data, stderr is talk: how the commands print, warn, and end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nccli.errors import (
    CLAIM_FAILED,
    DONE,
    SOME_INPUTS_FAILED,
    InputError,
    UsageError,
)
from nccli.text import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from nccli.checkpoint import Checkpoint
    from nccli.condition import Condition

NO_INPUT_USED = InputError.exit_code

FORMAT_HELP = "auto, table, json, jsonl, csv or md; auto is a table on a terminal, tabs on a pipe."
PATHS_HELP = "Files, run directories, globs, RUN@12, RUN@last; - reads paths from stdin."
FAIL_IF_HELP = "Exit 1 if this is true of any result: 'nc1 > 0.1'."
SPLIT_HELP = "train, test, another split of the file, or all."
CHART_HELP = "Draw charts in the terminal as well."


def say(text: str) -> None:
    """Print one line of talk."""
    print(text, file=sys.stderr, flush=True)


def input_words(words: Sequence[str]) -> list[str]:
    """Return the command line's inputs, `-` replaced by the lines of stdin."""
    found: list[str] = []
    for word in words:
        if word == "-":
            lines = [] if sys.stdin is None else list(sys.stdin)
            found += [line.rstrip("\r\n") for line in lines if line.strip()]
        else:
            found.append(word)
    if not found:
        raise UsageError("no inputs on stdin", remedy="pipe one path a line")
    return found


def console() -> Console:
    """Return a console on stdout that treats words as data: no markup, no emoji, no guessing."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, soft_wrap=False)


def with_chart(form: str, chart: bool) -> str:
    """Return the format to print in: asking for a chart asks for the table that it belongs to."""
    return "table" if chart and form == "auto" else form


def report(
    words: Sequence[str],
    analysis: Callable[[Checkpoint, str, str], Any],
    *,
    split: str | None,
    preferred: Sequence[str],
    form: str,
    fail_if: str | None,
    table: Callable[[Sequence[Any]], RenderableType],
) -> int:
    """Apply `analysis` to every checkpoint that the words name, print the results, return the code.

    analysis(checkpoint, split, path) gives one result. Every input that cannot be used becomes
    one line on stderr; the others are still reported.
    """
    from nccli.batch import analyzed, each
    from nccli.condition import Condition
    from nccli.render import rendered, resolve_format, to_json_line
    from nccli.result import flat
    from nccli.runs import expand

    form = resolve_format(form, terminal=sys.stdout.isatty())
    condition = None if fail_if is None else Condition.parse(fail_if)
    inputs = expand(input_words(words))

    def measure(path: Path) -> Sequence[Any]:
        return analyzed(
            path,
            lambda checkpoint, name: analysis(checkpoint, name, str(path)),
            split=split,
            preferred=preferred,
        )

    results: list[Any] = []
    failed = 0
    for outcome in _watched(each(inputs, measure), total=len(inputs)):
        problems = [item for item in outcome if isinstance(item, InputError)]
        good = [item for item in outcome if not isinstance(item, InputError)]
        for problem in problems:
            say(f"nccli: {problem}")
        if condition is not None and not results and good:
            condition.holds(flat(good[0]))  # a mistyped field is told before anything is printed
        failed += len(problems)
        results += good
        if form == "jsonl":  # streams: a long batch that is interrupted keeps what it has
            sys.stdout.write("".join(to_json_line(result) for result in good))
            sys.stdout.flush()
    if form == "table" and results:
        console().print(table(results))
    elif form != "jsonl":
        sys.stdout.write(rendered(results, form=form))
    say_notes(results)
    return exit_code(results, failed=failed, condition=condition)


def say_notes(results: Iterable[Any]) -> None:
    """Say each note once, with the first place it concerns and how many others."""
    places: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            places.setdefault(note, []).append(_place(result))
    for note, where in places.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        say(f"nccli: {where[0]}{more}: {visible(note)}")


def _place(result: Any) -> str:
    if hasattr(result, "split"):
        return visible(f"{result.path} ({result.split})")
    return f"delta {result.label_smoothing:g}"  # the closed form has no file


def exit_code(results: Sequence[Any], *, failed: int, condition: Condition | None) -> int:
    """Return the code that results, failed inputs and a --fail-if condition end with."""
    undecided = 0
    if condition is not None:
        from nccli.result import flat

        truths = [condition.holds(flat(result)) for result in results]
        if True in truths:
            first = results[truths.index(True)]
            say(f"nccli: {_place(first)}: {condition.text} is true")
            return CLAIM_FAILED
        undecided = truths.count(None)
        if undecided:
            say(
                f"nccli: '{condition.text}' could not be decided for {undecided} of "
                f"{len(truths)} results: {condition.name} is undefined there"
            )
    if failed and not results:
        return NO_INPUT_USED
    return SOME_INPUTS_FAILED if failed or undecided else DONE


def _watched(outcomes: Iterator[Any], *, total: int) -> Iterator[Any]:
    with progress_over(total, "checkpoints") as advance:
        for outcome in outcomes:
            yield outcome
            advance()


@contextmanager
def progress_over(total: int, what: str) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr where it is a terminal and there is something to wait for."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    with progress() as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def progress() -> Iterator[Any]:
    """A progress display on stderr that leaves nothing behind."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar
