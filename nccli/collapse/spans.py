"""Work over the rows of a split: cut into spans, done side by side, put together in order.

Where a span begins depends on the data alone, never on how many workers there are, and partial
results are added in the order of the spans: one thread, eight, or a cluster give the same bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from nccli.checkpoint import LazyArray
from nccli.cores import usable_cores

Part = TypeVar("Part")

BLOCK_BYTES = 2**20  # a block, its residuals and its products stay in a core's cache
SPAN_BYTES = 8 * 2**20
MAX_BLOCK_ROWS = 1024  # float32 sums of more rows than this would lose digits
ROWS_PER_CLASS = 32
PARTIALS_BYTES = 48 * 2**20  # what the partial sums of all threads may take
MAX_THREADS = 8  # each has its own partial sums; more would only wait for memory


@dataclass(frozen=True, slots=True)
class Span:
    """Rows start..stop-1 of a split."""

    start: int
    stop: int
    partial_bytes: int = 0  # size of the sums that are kept for it until they are added up


class Workers(Protocol):
    """Who does the work on the spans of one checkpoint."""

    def map(
        self, function: Callable[..., Part], spans: Sequence[Span], *arguments: Any
    ) -> Iterator[Part]:
        """Yield function(checkpoint, span, *arguments) of every span, in order."""
        ...


def nobody(rows: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True)
class Threads:
    """The cores of this machine: numpy lets go of the interpreter where it matters.

    count: None for one a usable core. BLAS should have one thread of its own: see __main__.
    watch: told how many rows each finished span had.
    """

    checkpoint: Any  # what the function is given first
    count: int | None = None
    watch: Callable[[int], None] = nobody

    def map(
        self, function: Callable[..., Part], spans: Sequence[Span], *arguments: Any
    ) -> Iterator[Part]:
        """Yield function(checkpoint, span, *arguments) of every span, in order."""
        count = min(usable_cores() if self.count is None else self.count, len(spans), MAX_THREADS)
        if spans and spans[0].partial_bytes:
            count = min(count, max(1, PARTIALS_BYTES // spans[0].partial_bytes))
        parts = self._one_by_one if count < 2 else partial(self._side_by_side, count)
        for span, part in zip(spans, parts(function, spans, *arguments), strict=True):
            self.watch(span.stop - span.start)
            yield part

    def _one_by_one(
        self, function: Callable[..., Part], spans: Sequence[Span], *arguments: Any
    ) -> Iterator[Part]:
        return (function(self.checkpoint, span, *arguments) for span in spans)

    def _side_by_side(
        self, count: int, function: Callable[..., Part], spans: Sequence[Span], *arguments: Any
    ) -> Iterator[Part]:
        with ThreadPoolExecutor(count) as pool:
            waiting: deque[Future[Part]] = deque()
            try:
                for span in spans:
                    waiting.append(pool.submit(function, self.checkpoint, span, *arguments))
                    if len(waiting) > count:  # finished parts wait in memory: not too many
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # an error or Ctrl-C: what has not begun never will
                for future in waiting:
                    future.cancel()


def spans_of(features: LazyArray, partial_bytes: int) -> list[Span]:
    """Cut the rows of a data set into spans.

    partial_bytes: size of the sums kept for one span: adding them up must cost little beside
    reading the rows, so that spans are several times as large.
    """
    row_bytes = features.dtype.itemsize * features.shape[1]
    rows = max(SPAN_BYTES, 4 * partial_bytes) // row_bytes
    rows = max(1, rows // features.chunk_rows) * features.chunk_rows
    count = features.shape[0]
    return [Span(start, min(start + rows, count), partial_bytes) for start in range(0, count, rows)]


def block_rows(features: LazyArray, *, num_classes: int = 0) -> int:
    """How many rows to work on at once.

    num_classes: where sums by class are made of each block, enough rows that adding them up costs
    little, and few enough of one class that float32 sums keep their digits.
    """
    row_bytes = max(features.dtype.itemsize, 4) * features.shape[1]
    per_class = ROWS_PER_CLASS * num_classes
    rows = max(BLOCK_BYTES // row_bytes, min(per_class, 4 * BLOCK_BYTES // row_bytes), 1)
    return min(rows, max(MAX_BLOCK_ROWS, per_class))
