"""The logits of a split in blocks of rows, however many there are.

N samples, K classes, D features. They are the stored logits, or features W^T + b; or the stored
array holds probabilities, and their logarithms serve: a softmax gives them back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint, LazyArray
from nccli.collapse.centres import working_dtype
from nccli.collapse.spans import Span, Threads, nobody, spans_of
from nccli.errors import ContentError
from nccli.logits import Floats, Integers, load_labels

Numbers = NDArray[Any]
Part = TypeVar("Part")

BLOCK_BYTES = 2**20  # of logits: a block and its exponentials stay in a core's cache
ROUNDED = 1e-2  # by how much stored probabilities may miss a sum of one: float16 does
LOOKED_AT = 256  # rows that show whether logits are probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Labels and logits of a split; the logits are streamed."""

    labels_N: Integers
    num_classes: int
    rows: LazyArray  # of logits (N, K), probabilities (N, K) or features (N, D)
    dtype: np.dtype[Any]  # what exponentials are computed in; sums of blocks are in double
    weight_DK: Numbers | None = None  # where rows are features
    bias_K: Numbers | None = None
    probabilities: bool = False
    threads: int | None = None
    watch: Callable[[int], None] = nobody

    @property
    def count(self) -> int:
        """N."""
        return len(self.labels_N)

    def blocks(self, span: Span) -> Iterator[tuple[slice, Numbers]]:
        """Yield (rows, logits (n, K)) of a span; a block is valid until the next is asked for."""
        width = max(self.num_classes, self.rows.shape[1])
        step = max(1, BLOCK_BYTES // (self.dtype.itemsize * width))
        for first, values in self.rows.stream(span.start, span.stop, step):
            yield slice(first, first + len(values)), self._logits(values)

    def _logits(self, values: Numbers) -> Numbers:
        if self.probabilities:
            return _logarithms(values.astype(np.float64))
        values = values.astype(self.dtype, copy=False)
        return values if self.weight_DK is None else values @ self.weight_DK + self.bias_K

    def spans(self, partial_bytes: int = 0) -> list[Span]:
        """All rows, cut into spans."""
        return spans_of(self.rows, partial_bytes)

    def over(
        self, spans: Sequence[Span], function: Callable[..., Part], *arguments: Any
    ) -> Iterator[Part]:
        """Yield function(self, span, *arguments) of each span in order, on all cores."""
        return Threads(self, self.threads, self.watch).map(function, spans, *arguments)

    def all_logits(self) -> Floats:
        """Every logit (N, K) in double."""
        whole = Span(0, self.count)
        return np.concatenate([block.astype(np.float64) for _, block in self.blocks(whole)])


def of_arrays(
    logits_NK: Numbers, labels_N: Integers, *, probabilities: bool = False
) -> Predictions:
    """Predictions from memory; probabilities: the rows are distributions, not logits."""
    dtype = np.dtype(np.float64 if probabilities else logits_NK.dtype)
    return Predictions(
        labels_N=np.asarray(labels_N, dtype=np.int64),
        num_classes=logits_NK.shape[1],
        rows=LazyArray.of(logits_NK),
        dtype=np.dtype(np.float32) if dtype == np.float16 else dtype,
        probabilities=probabilities,
    )


def open_predictions(
    checkpoint: Checkpoint,
    split: str,
    *,
    probabilities: bool = False,
    threads: int | None = None,
    watch: Callable[[int], None] = nobody,
) -> Predictions:
    """Return the predictions of a split.

    Raises ContentError where the checkpoint has neither logits nor a classifier, or where
    `probabilities` are asked for and there are none.
    """
    part = checkpoint.split(split)
    common: dict[str, Any] = {
        "labels_N": load_labels(checkpoint, split), "num_classes": checkpoint.num_classes,
        "threads": threads, "watch": watch,
    }  # fmt: skip
    if checkpoint.num_classes < 2:
        raise ContentError(
            "has one class: every prediction is right with confidence one",
            remedy="give a network of two classes or more",
        )
    if part.logits is not None:
        double = probabilities or part.logits.dtype == np.float64
        dtype = np.dtype(np.float64 if double else np.float32)
        return Predictions(rows=part.logits, dtype=dtype, probabilities=probabilities, **common)
    if probabilities:
        raise ContentError(
            f"has no {split}/logits, which --probabilities are read from",
            remedy="leave --probabilities out: features and classifier give logits",
        )
    if checkpoint.classifier is None:
        raise ContentError(
            f"has neither a classifier nor {split}/logits",
            remedy="save classifier/weight (and bias), or the logits, with the features",
        )
    weight_KD, bias_K = checkpoint.classifier.arrays()
    dtype = working_dtype(part.features)
    return Predictions(
        rows=part.features,
        dtype=dtype,
        weight_DK=np.ascontiguousarray(weight_KD.T.astype(dtype)),
        bias_K=bias_K.astype(dtype),
        **common,
    )


def look_like_probabilities(found: Predictions) -> bool:
    """Whether stored logits are distributions: no row is negative, and each sums to one."""
    if found.weight_DK is not None or found.probabilities:
        return False
    values = np.asarray(found.rows.rows(0, min(found.count, LOOKED_AT)), dtype=np.float64)
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1.0, atol=ROUNDED))


def zero_probabilities(found: Predictions) -> int:
    """How many labels have a stored probability of exactly zero."""
    zeros = 0
    for first, values in found.rows.stream(0, found.count, max(1, 2**20 // found.num_classes)):
        labels = found.labels_N[first : first + len(values)]
        zeros += int(np.count_nonzero(values[np.arange(len(values)), labels] == 0))
    return zeros


def _logarithms(values_NK: Floats) -> Floats:
    sums_N = values_NK.sum(axis=1)
    if (values_NK < 0).any() or not np.allclose(sums_N, 1.0, atol=ROUNDED):
        raise ContentError(
            "holds logits that are no probabilities: a row is negative or does not sum to 1",
            remedy="leave --probabilities out",
        )
    # zero has no logarithm; the smallest number stands for it
    np.maximum(values_NK, math.ulp(0.0), out=values_NK)
    return np.log(values_NK, out=values_NK)
