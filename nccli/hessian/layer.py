"""The last layer of a checkpoint, streamed: blocks of features with their softmax.

N samples, K classes, D features, X variables of a class: D, or D + 1 where the bias is one of them.

Rows are read anew in every pass, so that memory does not grow with N * D. Probabilities are kept
where they are small beside the features, and computed anew where K is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint, LazyArray
from nccli.collapse.centres import ClassAdder, squared_distances, working_dtype
from nccli.collapse.spans import Span, Threads, nobody, spans_of
from nccli.errors import ContentError
from nccli.logits import Floats, Integers, load_labels

Numbers = NDArray[Any]
Part = TypeVar("Part")

BLOCK_BYTES = 4 * 2**20  # of features: skinny products run at full speed, and a core's cache holds
FAR = 8.0  # times the mean of 1 - p_top in a block
KEPT_BYTES = 48 * 2**20  # probabilities up to this size are kept; our own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some rows: what the curvature of the loss is made of."""

    rows: slice
    inputs_NX: Numbers  # features, and a column of ones where the bias is a variable
    probabilities_NK: Numbers
    top_N: Integers  # the predicted class
    products_NM: Numbers  # of the inputs with the columns asked for

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.top_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLayer:
    """Classifier, features and labels of a split; arrays of N rows are streamed."""

    weight_KD: Floats
    bias_K: Floats
    features: LazyArray
    stored: LazyArray | None  # logits in the file
    labels_N: Integers
    dtype: np.dtype[Any]  # products are made in it; sums over blocks are in double
    with_bias: bool = False  # the bias is one of the variables
    threads: int | None = None
    watch: Callable[[int], None] = nobody  # told how many rows were run through
    kept_NK: Numbers | None = None

    @property
    def count(self) -> int:
        """N."""
        return len(self.labels_N)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.weight_KD)

    @property
    def width(self) -> int:
        """X."""
        return int(self.weight_KD.shape[1]) + self.with_bias

    @property
    def weight_KX(self) -> Floats:
        """W as far as logits change with features: a column of zeros in the place of the bias."""
        if not self.with_bias:
            return self.weight_KD
        return np.pad(self.weight_KD, ((0, 0), (0, 1)))

    @property
    def precise(self) -> LastLayer:
        """The same in double, its probabilities too."""
        if self.dtype == np.float64:
            return self
        kept_NK = self.kept_NK
        if kept_NK is not None and kept_NK.dtype != np.float64:
            kept_NK = None
        return replace(self, dtype=np.dtype(np.float64), kept_NK=kept_NK)

    def blocks(self, span: Span, columns_XM: Floats | None = None) -> Iterator[Block]:
        """Yield the rows of a span; a block is valid until the next one is asked for.

        columns_XM: what the inputs are multiplied by, together with the classifier where that is
        needed too: rows are read from memory once.
        """
        classes = self.num_classes
        columns_XM = np.zeros((self.width, 0)) if columns_XM is None else columns_XM
        widest = max(self.width, columns_XM.shape[1])
        step = max(1, BLOCK_BYTES // (self.dtype.itemsize * widest))
        stored = None
        if self.kept_NK is None and self.stored is not None:
            stored = self.stored.stream(span.start, span.stop, step)
        elif self.kept_NK is None:
            columns_XM = np.concatenate([self.weight_KX.T, columns_XM], axis=1)
        matrix_XM = columns_XM.astype(self.dtype)
        for rows, inputs_NX in self._inputs(span, step):
            products_NM = inputs_NX @ matrix_XM
            if self.kept_NK is not None:
                probabilities_NK = _narrowed(self.kept_NK[rows], self.dtype)
                top_N = probabilities_NK.argmax(axis=1)
            elif stored is not None:
                probabilities_NK, top_N = softmax_rows(next(stored)[1].astype(self.dtype))
            else:
                logits_NK = products_NM[:, :classes] + self.bias_K.astype(self.dtype)
                probabilities_NK, top_N = softmax_rows(logits_NK)
                if self.dtype != np.float64:
                    self._sharpen(inputs_NX, probabilities_NK, top_N)
                products_NM = products_NM[:, classes:]
            yield Block(
                rows=rows,
                inputs_NX=inputs_NX,
                probabilities_NK=probabilities_NK,
                top_N=top_N,
                products_NM=products_NM,
            )

    def _sharpen(self, inputs_NX: Numbers, probabilities_NK: Numbers, top_N: Integers) -> None:
        """Compute anew, in double, the rows that count most, in place.

        A logit of 100 has an error of 1e-5 in single, and so has the probability. Over many rows
        that averages out, unless a few of them make up most of the curvature.
        """
        # the sum of the others: 1 - p is zero in single where it matters most
        others_NK = probabilities_NK.copy()
        others_NK[np.arange(len(top_N)), top_N] = 0.0
        doubts_N = others_NK.sum(axis=1)
        far = np.flatnonzero(doubts_N > FAR * doubts_N.mean())
        if len(far):
            exact_NX = inputs_NX[far].astype(np.float64)
            logits_NK = exact_NX @ self.weight_KX.T + self.bias_K
            probabilities_NK[far], top_N[far] = softmax_rows(logits_NK)

    def softmax_of(self, rows: Integers) -> tuple[Floats, Integers]:
        """Softmax and argmax of a few rows, in double, fetched one by one: (M, K) and (M,)."""
        if self.stored is not None:
            logits = [self.stored.rows(row, row + 1) for row in rows]
            return softmax_rows(np.concatenate(logits).astype(np.float64))
        features = [self.features.rows(row, row + 1) for row in rows]
        inputs_MD = np.concatenate(features).astype(np.float64)
        return softmax_rows(inputs_MD @ self.weight_KD.T + self.bias_K)

    def _inputs(self, span: Span, step: int) -> Iterator[tuple[slice, Numbers]]:
        dim = self.weight_KD.shape[1]
        as_stored = self.features.dtype == self.dtype and not self.with_bias
        room_NX = np.ones(
            (0 if as_stored else min(step, span.stop - span.start), self.width), self.dtype
        )
        for first, values in self.features.stream(span.start, span.stop, step):
            rows = slice(first, first + len(values))
            if as_stored:
                yield rows, values
                continue
            room_NX[: len(values), :dim] = values
            yield rows, room_NX[: len(values)]

    def over_rows(
        self, function: Callable[..., Part], *arguments: Any, partial_bytes: int = 0
    ) -> Iterator[Part]:
        """Yield function(layer, span, *arguments) for all spans of rows, in order, on all cores.

        What is put together in this order does not depend on the number of cores.
        """
        spans = spans_of(self.features, partial_bytes)
        return Threads(self, self.threads, self.watch).map(function, spans, *arguments)


def softmax_rows(logits_NK: Numbers) -> tuple[Numbers, Integers]:
    """Return softmax and argmax of each row; the logits are used up."""
    top_N = logits_NK.argmax(axis=1)
    logits_NK -= logits_NK[np.arange(len(top_N)), top_N][:, None]
    np.exp(logits_NK, out=logits_NK)
    # subnormal numbers carry no weight here, and slow every product down
    logits_NK[logits_NK < np.finfo(logits_NK.dtype).tiny] = 0.0
    logits_NK /= logits_NK.sum(axis=1, keepdims=True)
    return logits_NK, top_N


def _narrowed(probabilities_NK: Numbers, dtype: np.dtype[Any]) -> Numbers:
    """Probabilities in the precision of products, without subnormal numbers there."""
    if probabilities_NK.dtype == dtype:
        return probabilities_NK
    narrow_NK = probabilities_NK.astype(dtype)
    narrow_NK[narrow_NK < np.finfo(dtype).tiny] = 0.0
    return narrow_NK


def open_layer(
    checkpoint: Checkpoint,
    split: str,
    *,
    with_bias: bool = False,
    threads: int | None = None,
    watch: Callable[[int], None] = nobody,
) -> LastLayer:
    """Return the last layer of a split; raises ContentError without a classifier."""
    if checkpoint.classifier is None:
        raise ContentError(
            "has no classifier, and the last-layer Hessian needs one",
            remedy="save classifier/weight (and bias) with the features",
        )
    if checkpoint.num_classes < 2:
        raise ContentError(
            "has one class: its softmax has no curvature",
            remedy="give a network of two classes or more",
        )
    weight_KD, bias_K = checkpoint.classifier.arrays()
    part = checkpoint.split(split)
    dtype = working_dtype(part.features)
    features = part.features
    if dtype == np.float64 and math.prod(features.shape) <= BLOCK_BYTES:
        features = LazyArray.of(np.asarray(features.load(), dtype=np.float64))  # small: read once
    return LastLayer(
        weight_KD=weight_KD,
        bias_K=bias_K,
        features=features,
        stored=part.logits,
        labels_N=load_labels(checkpoint, split),
        dtype=dtype,
        with_bias=with_bias,
        threads=threads,
        watch=watch,
    )


# --- what one pass over the rows tells -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Sums over the rows of a layer."""

    counts_K: Integers
    means_KX: Floats  # class means of the inputs (0 where a class has no rows)
    mean_probabilities_KK: Floats  # row c: mean softmax of the rows of class c
    squares: float  # of all features: sum of |h|^2
    trace_w: float  # of the W block, loss only
    trace_h: float  # of the H block, loss only
    largest_trace_h: float  # of the block of one row, without 1/N: it bounds its eigenvalues
    doubt: float  # mean of 1 - p_top


def survey(layer: LastLayer) -> tuple[LastLayer, Survey]:
    """Run once through the rows; the layer that comes back keeps its probabilities, if small.

    In double where that is small enough too: a certificate then needs no logits of its own.
    """
    classes, kept_NK, seen = layer.num_classes, _room(layer), layer
    if kept_NK is not None and kept_NK.dtype == np.float64:
        seen = layer.precise
    distances_KK = squared_distances(layer.weight_KD)
    sums_KX, sums_KK = np.zeros((classes, layer.width)), np.zeros((classes, classes))
    scalars, largest = np.zeros(4), 0.0
    size = sums_KX.nbytes + sums_KK.nbytes
    parts = seen.over_rows(_survey_part, distances_KK, kept_NK, partial_bytes=size)
    for part_KX, part_KK, scalars_4, largest_trace in parts:
        sums_KX += part_KX
        sums_KK += part_KK
        scalars += scalars_4
        largest = max(largest, largest_trace)
    counts_K = np.bincount(layer.labels_N, minlength=classes)
    divisor_K1 = np.maximum(counts_K, 1)[:, None]
    found = Survey(
        counts_K=counts_K,
        means_KX=sums_KX / divisor_K1,
        mean_probabilities_KK=sums_KK / divisor_K1,
        squares=float(scalars[0]),
        trace_w=float(scalars[1]) / layer.count,
        trace_h=float(scalars[2]) / layer.count,
        largest_trace_h=largest,
        doubt=float(scalars[3]) / layer.count,
    )
    return (layer if kept_NK is None else replace(layer, kept_NK=kept_NK)), found


def _room(layer: LastLayer) -> Numbers | None:
    """Where probabilities are kept, in the best precision that fits; None where none does."""
    if layer.kept_NK is not None:
        return None
    for dtype in (np.dtype(np.float64), layer.dtype):
        if layer.count * layer.num_classes * dtype.itemsize <= KEPT_BYTES:
            return np.empty((layer.count, layer.num_classes), dtype)
    return None


def _survey_part(
    layer: LastLayer, span: Span, distances_KK: Floats, kept_NK: Numbers | None
) -> tuple[Floats, Floats, Floats, float]:
    classes = layer.num_classes
    sums_KX, sums_KK = np.zeros((classes, layer.width)), np.zeros((classes, classes))
    scalars, largest, adder = np.zeros(4), 0.0, ClassAdder(classes)
    for block in layer.blocks(span):
        p_NK, inputs_NX = block.probabilities_NK, block.inputs_NX
        if kept_NK is not None:
            kept_NK[block.rows] = p_NK
        adder.add(sums_KX, inputs_NX, layer.labels_N[block.rows])
        adder.add(sums_KK, p_NK, layer.labels_N[block.rows])
        squares_N = np.vecdot(inputs_NX, inputs_NX).astype(np.float64)
        doubts_N, variances_N = spreads(block)
        traces_N = feature_traces(p_NK, distances_KK)
        scalars += (
            squares_N.sum() - layer.with_bias * block.count,
            variances_N @ squares_N,
            traces_N.sum(),
            doubts_N.sum(),
        )
        largest = max(largest, float(traces_N.max()))
    return sums_KX, sums_KK, scalars, largest


def spreads(block: Block) -> tuple[Floats, Floats]:
    """1 - p_top and tr(A_i) = sum_k p_k (1 - p_k) of each row (N,), without a difference from one.

    1 - p_top is the sum of the others, and so tr(A_i) = doubt (1 + p_top) - sum of their squares.
    """
    others_NK = block.probabilities_NK.astype(np.float64)
    others_NK[np.arange(block.count), block.top_N] = 0.0
    doubts_N: Floats = others_NK.sum(axis=1)
    variances_N: Floats = doubts_N * (2.0 - doubts_N) - np.vecdot(others_NK, others_NK)
    return doubts_N, variances_N


def feature_traces(p_NK: Numbers, distances_KK: Floats) -> Floats:
    """tr(W^T A_i W) = 1/2 sum_jk p_j p_k |w_j - w_k|^2 of each row (N,): no term is negative."""
    double_NK = p_NK.astype(np.float64)
    traces_N: Floats = 0.5 * np.vecdot(double_NK @ distances_KK, double_NK)
    return traces_N
