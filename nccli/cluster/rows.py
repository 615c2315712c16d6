"""One large file on a cluster: its rows are spread over the workers, and the sums come back."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from nccli.checkpoint import Checkpoint
from nccli.cluster.connection import Client, Disconnected, threads_of
from nccli.collapse.spans import Span, Threads
from nccli.errors import FormatError, InputError, NotFoundError
from nccli.hdf5 import read_checkpoint
from nccli.work import ANALYSES, Analysis, Work

Part = TypeVar("Part")

# Our own limits, from no source but judgement.
TASKS_A_THREAD = 4  # so that all end at about the same time, and little is lost with a worker
MOST_SPANS = 16  # of a task: some 128 MiB of rows, a tenth of a second or more
REPLY_BYTES = 32 * 2**20  # partial sums that a task sends back
IN_FLIGHT = 3  # tasks a thread that are given out: their results wait for the first in line
SMALL_BYTES = 2**16  # arguments up to here travel in every task


def _nobody(rows: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as the machine that asks saw it.

    Not by device or inode, as readers on one machine know it: other machines number them
    differently.
    """

    path: Path
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> File:
        """Look at a file. Raises OSError."""
        status = path.stat()
        return cls(path=path, size=status.st_size, modified_ns=status.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWorkers:
    """The workers of a cluster, for the rows of one checkpoint file: a `collapse.spans.Workers`.

    Tasks are given out a few a thread at a time, and the parts come back as they are, in order:
    to be added up just as those of this machine's threads are.
    """

    client: Client
    path: Path  # as the user has it
    file: File
    watch: Callable[[int], None] = _nobody  # told how many rows each finished span had

    @classmethod
    def of(cls, path: Path, client: Client) -> ClusterWorkers:
        """Return the workers for a file as it is now. Raises NotFoundError where it is not."""
        try:
            return cls(client=client, path=path, file=File.of(path.absolute()))
        except OSError as error:
            raise NotFoundError(f"cannot be looked up ({error.strerror})", source=path) from None

    def map(
        self, function: Callable[..., Part], spans: Sequence[Span], *arguments: Any
    ) -> Iterator[Part]:
        """Yield function(checkpoint, span, *arguments) of every span, in order.

        Raises Disconnected where the scheduler is lost, and InputErrors of the workers.
        """
        self._check_connection()
        threads = threads_of(self.client)
        handed = self._handed(arguments)
        tasks: deque[tuple[Sequence[Span], Any]] = deque()
        try:
            for group in _groups(spans, threads):
                self._check_connection()
                call = (_on_spans, self.file, function, group, handed)
                tasks.append((group, self.client.submit(*call, pure=False)))
                if len(tasks) > IN_FLIGHT * threads:
                    yield from self._parts(*tasks.popleft())
            while tasks:
                yield from self._parts(*tasks.popleft())
        finally:  # an error, or nobody asks any more
            if tasks and self.client.status == "running":
                self.client.cancel([task for _, task in tasks])

    def _parts(self, group: Sequence[Span], task: Any) -> Iterator[Any]:
        try:
            parts = task.result()
        except CancelledError:
            raise Disconnected from None
        except InputError as error:
            raise renamed(error, self.file.path, self.path) from None
        for span, part in zip(group, parts, strict=True):
            self.watch(span.stop - span.start)
            yield part

    def _handed(self, arguments: tuple[Any, ...]) -> Any:
        """Send large arguments once; workers then get them from each other.

        As the result of a task, not by Client.scatter: what was scattered is gone for good with
        the worker that held it, and a task is done again.
        """
        import dask

        pickled = pickle.dumps(arguments, protocol=pickle.HIGHEST_PROTOCOL)
        if len(pickled) <= SMALL_BYTES:
            return arguments
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            return self.client.submit(pickle.loads, pickled, pure=False)

    def _check_connection(self) -> None:
        if self.client.status != "running":
            raise Disconnected


def _groups(spans: Sequence[Span], threads: int) -> Iterator[Sequence[Span]]:
    """Put neighbours together into tasks: not too few for the threads there are, nor too large."""
    size = min(MOST_SPANS, len(spans) // (TASKS_A_THREAD * threads))
    if spans and spans[0].partial_bytes:
        size = min(size, REPLY_BYTES // spans[0].partial_bytes)
    size = max(size, 1)
    return (spans[first : first + size] for first in range(0, len(spans), size))


def _on_spans(
    file: File, function: Callable[..., Part], spans: Sequence[Span], arguments: tuple[Any, ...]
) -> list[Part]:
    """Work on some spans in a worker."""
    with _opening:  # the threads of a worker wait for the first of them to read the labels
        checkpoint = _checkpoint(file)
    return [function(checkpoint, span, *arguments) for span in spans]


def renamed(error: InputError, place: Path, path: Path) -> InputError:
    """Return an error that a worker had with the file at `place`, told of the user's path."""
    if error.source == str(place):
        error.source = str(path)
    if isinstance(error, NotFoundError):  # it is there for the machine that asks
        error.remedy = "the workers must see it under the same path as this machine"
    return error


_opening = threading.Lock()


@lru_cache(maxsize=2)  # two files take turns where one ends and the next begins
def _checkpoint(file: File) -> Checkpoint:
    try:
        checkpoint = read_checkpoint(file.path)
        same = File.of(file.path) == file
    except OSError:  # gone in between
        same = False
    if not same:
        raise FormatError(
            "is not the same file on the workers as on this machine",
            source=file.path,
            remedy="share it between them; if it was changed just now, run it again",
        )
    return checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitWork(Work):
    """Work whose passes over the rows are done by a cluster, and the rest here."""

    cluster: ClusterWorkers

    @classmethod
    def of(cls, work: Work, cluster: ClusterWorkers) -> SplitWork:
        """Return the same work, done with a cluster."""
        options = {field.name: getattr(work, field.name) for field in fields(work)}
        return cls(**options, cluster=cluster)

    @property
    def description(self) -> Analysis:
        """How this analysis is called."""
        analysis = ANALYSES[self.analysis]
        options = {field.name: getattr(analysis, field.name) for field in fields(analysis)}
        return _SplitAnalysis(**options, cluster=self.cluster)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SplitAnalysis(Analysis):
    cluster: ClusterWorkers

    def function(self) -> Any:
        """Return its analyze(), with the cluster in the place of this machine's threads."""
        return partial(_analyzed, Analysis.function(self), self.cluster)


def _analyzed(
    analyze: Callable[..., Any],
    cluster: ClusterWorkers,
    checkpoint: Checkpoint,
    *,
    workers: Threads,
    **options: Any,
) -> Any:
    return analyze(checkpoint, workers=replace(cluster, watch=workers.watch), **options)
