"""stdout is data, stderr is talk: how the commands print, warn, and end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
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
    from concurrent.futures import Executor

    from rich.console import Console, RenderableType

    from nccli.batch import Engine
    from nccli.condition import Condition
    from nccli.work import Work

PATIENCE_SECONDS = 1.0  # before a single file gets a bar of its own
NO_INPUT_USED = InputError.exit_code

FORMAT_HELP = (
    "auto, table, json, jsonl, csv, md or latex; auto is a table on a terminal, tabs on a pipe."
)
PATHS_HELP = "Files, run directories, globs, RUN@12, RUN@last; - reads paths from stdin."
FAIL_IF_HELP = "Exit 1 if this is true of any result: 'nc1 > 0.1'."
SPLIT_HELP = "train, test, another split of the file, or all."
CHART_HELP = "Draw charts in the terminal as well."
JOBS_HELP = "Processes to use; default: one, and one a core for a batch that takes longer."
NO_CACHE_HELP = "Neither use nor keep the results in .nccli-cache beside the run."


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


def show(renderable: RenderableType, *, form: str) -> None:
    """Print what is for people: on the terminal, or as LaTeX."""
    if form == "latex":
        from nccli.latex import latex

        sys.stdout.write(latex(renderable))
    else:
        console().print(renderable)


def with_chart(form: str, chart: bool) -> str:
    """Return the format to print in: asking for a chart asks for the table that it belongs to."""
    return "table" if chart and form == "auto" else form


def report(
    words: Sequence[str],
    work: Work,
    *,
    jobs: int | None,
    form: str,
    fail_if: str | None,
    table: Callable[[Sequence[Any]], RenderableType],
    scheduler: str | None = None,
    summary: Callable[[Sequence[Any]], Sequence[Any]] | None = None,
    then: Callable[[Sequence[Any]], None] | None = None,
) -> int:
    """Do `work` on every checkpoint that the words name, print the results, return the code.

    Every input that cannot be used becomes one line on stderr; the others are still reported.
    jobs: processes on this machine, None for as many as pay; scheduler: the address of a Dask
    cluster that takes their place.
    summary: what is shown in place of the results, which it is made of; `then` is called with
    these once everything is printed.
    """
    from nccli.condition import Condition
    from nccli.render import FOR_PEOPLE, rendered, resolve_format, to_json_line
    from nccli.result import columns
    from nccli.runs import expand

    form = resolve_format(form, terminal=sys.stdout.isatty())
    condition = None if fail_if is None else Condition.parse(fail_if)
    if condition is not None:  # a mistyped field is told before anything is computed
        condition.check(columns(work.description.result_type()))
    inputs = expand(input_words(words))
    results: list[Any] = []
    failed = 0
    with _answers(inputs, work, jobs=jobs, scheduler=scheduler, form=form) as answers:
        for answer in answers:
            good = _good(answer)
            failed += len(answer) - len(good)
            results += good
            if (
                form == "jsonl" and summary is None
            ):  # streams: a long batch that is interrupted keeps what it has
                sys.stdout.write("".join(to_json_line(result) for result in good))
                sys.stdout.flush()
    shown = summary(results) if summary and results else results
    if form in FOR_PEOPLE:
        if shown:
            show(table(shown), form=form)
    elif form != "jsonl" or summary is not None:
        sys.stdout.write(rendered(shown, form=form))
    say_notes(shown)
    if then is not None:
        then(results)
    return exit_code(results, failed=failed, condition=condition)


def _good(answer: Sequence[Any]) -> list[Any]:
    """Return the results of an answer; its problems are said."""
    for item in answer:
        if isinstance(item, InputError):
            say(f"nccli: {item}")
    return [item for item in answer if not isinstance(item, InputError)]


@contextmanager
def _answers(
    inputs: Sequence[Path | InputError],
    work: Work,
    *,
    jobs: int | None,
    scheduler: str | None,
    form: str,
) -> Iterator[Iterator[list[Any]]]:
    """Give the answers in the order of the inputs, from the cache or computed, with progress."""
    from nccli.batch import each

    engine = _local_engine(work, jobs, len(inputs)) if scheduler is None else None
    items = (_recalled(item, work) for item in inputs)
    watching = _rows_watched() if len(inputs) == 1 else nullcontext()
    # lines that are printed in between would tear the bar, where both go to one terminal
    shown = not (form == "jsonl" and sys.stdout.isatty())
    with ExitStack() as stack:
        if scheduler is not None:
            from nccli.cluster import cluster_engine

            engine = stack.enter_context(cluster_engine(scheduler, files=len(inputs), say=say))
        work = replace(work, watch=stack.enter_context(watching))
        there = work if scheduler is not None else replace(work, threads=1)  # a worker a core
        unasked = scheduler is None and jobs is None
        answers = each(items, work, engine=engine, there=there, unasked=unasked)
        stack.enter_context(closing(answers))  # whatever happens here, the workers end
        advance = stack.enter_context(progress_over(len(inputs) if shown else 0, "checkpoints"))
        yield _watched(answers, advance)


def _watched(answers: Iterator[list[Any]], advance: Callable[[], None]) -> Iterator[list[Any]]:
    for answer in answers:
        yield answer
        advance()


def _recalled(item: Path | InputError, work: Work) -> Path | InputError | list[Any]:
    if isinstance(item, InputError) or not work.cached:
        return item
    from nccli.cache import recall

    kept = recall(item, work)
    return item if kept is None else kept


def _local_engine(work: Work, jobs: int | None, files: int) -> Engine | None:
    """Return an engine on this machine, or None where this process does as well."""
    from nccli.batch import FEW, Engine
    from nccli.cores import usable_cores

    if jobs is None and files < FEW:
        return None
    workers = min(usable_cores() if jobs is None else jobs, files)

    def opened(count: int) -> AbstractContextManager[Executor]:
        from nccli.jobs import open_pool  # not before there is work for it

        return open_pool(count, preload=["nccli.answer", work.description.module])

    return Engine(open=opened, workers=workers) if workers > 1 else None


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
    if hasattr(result, "place"):
        return str(result.place)
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
    unfinished = any(getattr(result, "status", "") == "not converged" for result in results)
    return SOME_INPUTS_FAILED if failed or undecided or unfinished else DONE


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
def images_watched() -> Iterator[Callable[[int, int], None] | None]:
    """Show the images that are done, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with progress() as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, advance=done, total=total)


@contextmanager
def _rows_watched() -> Iterator[Callable[[int, int | None], None] | None]:
    """Show the rows of one large file that are done, once it has taken a second."""
    if not sys.stderr.isatty():
        yield None
        return
    began = time.monotonic()
    with ExitStack() as stack:
        bar: Any = None
        done = 0

        def watch(rows: int, total: int | None) -> None:
            nonlocal bar, done
            done += rows
            if bar is None and time.monotonic() - began > PATIENCE_SECONDS:
                bar = stack.enter_context(progress())
                bar.add_task("rows", total=total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)

        yield watch


@contextmanager
def progress() -> Iterator[Any]:
    """A progress display on stderr that leaves nothing behind."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.speed
            if speed is None:
                return Text()
            return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),  # with the others within 80 columns
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    # not redirecting stdout: rich would send what is written there to stderr, data and all
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as bar:
        yield bar
