"""The second pass over a split: residuals h_i - mu_{y_i}, block by block.

N samples of a block, C classes of the network, D features, R directions.

The class mean is subtracted BEFORE anything else: projecting first loses every digit at deep
collapse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint
from nccli.collapse.centres import ClassAdder, span_labels
from nccli.collapse.deciding import Residuals, few_rows
from nccli.collapse.residuals import Frame, Plan, RowSums, count_codes
from nccli.collapse.scores import score_logits
from nccli.collapse.spans import Span
from nccli.logits import Floats, Integers

Numbers = NDArray[Any]

# Rounding errors of float32 products cancel over many rows; not where a few far rows (mislabelled,
# confused) make up most of NC1. Those are projected again in double: with few directions that is
# cheap, with many the products of one row are many enough.
FAR = 8.0  # times the mean of the block
DECIDED_TOGETHER = 256  # open questions; a product with fewer rows is slower


def row_sums(
    checkpoint: Checkpoint, span: Span, plan: Plan, weights: Floats | None = None
) -> RowSums:
    """Return the sums over a span of rows; weights (N,) are how often each row counts."""
    state = _Pass(plan, checkpoint.num_classes)
    for features_ND, labels_N, weights_N, logits_NC in _blocks(checkpoint, span, plan, weights):
        views = [
            _seen_from(frame, features_ND, labels_N, weights_N, space)
            for frame, space in zip(plan.frames, state.spaces, strict=True)
        ]
        state.add_views(views, weighted=weights is not None)
        if logits_NC is not None:
            state.score_stored(views[-1], logits_NC)
        elif plan.predictor is not None and plan.label_smoothing is not None:
            state.score(views[-1])
        elif plan.predictor is not None:
            state.decide(views[-1])
    return state.finish()


def _blocks(
    checkpoint: Checkpoint, span: Span, plan: Plan, weights: Floats | None
) -> Iterator[tuple[Numbers, Integers, Floats, Numbers | None]]:
    part = checkpoint.split(plan.split)
    labels_N = span_labels(checkpoint, plan.split, span)
    weights_N = np.broadcast_to(1.0, len(labels_N))
    if weights is not None:
        weights_N = weights[span.start : span.stop]
    where = (span.start, span.stop, plan.block_rows)
    dtype = plan.own.centres_CD.dtype
    stored = plan.stored_logits and part.logits is not None
    logits = part.logits.stream(*where) if stored and part.logits is not None else None
    for first, values in part.features.stream(*where):
        rows = slice(first - span.start, first - span.start + len(values))
        logits_NC = None if logits is None else next(logits)[1]
        yield values.astype(dtype, copy=False), labels_N[rows], weights_N[rows], logits_NC


@dataclass(frozen=True, slots=True, kw_only=True)
class _Space:
    """Memory for residuals and projections, used again for every block of a span."""

    residuals_ND: Numbers
    projected_NR: Numbers

    @classmethod
    def of(cls, frame: Frame, rows: int) -> _Space:
        dtype = frame.centres_CD.dtype
        return cls(
            residuals_ND=np.empty((rows, frame.basis_DR.shape[0]), dtype),
            projected_NR=np.empty((rows, frame.basis_DR.shape[1]), dtype),
        )


def _seen_from(
    frame: Frame, features_ND: Numbers, labels_N: Integers, weights_N: Floats, space: _Space
) -> Residuals:
    count = len(labels_N)
    residuals_ND, projected_NR = space.residuals_ND[:count], space.projected_NR[:count]
    np.take(frame.centres_CD, labels_N, axis=0, mode="clip", out=residuals_ND)
    np.subtract(features_ND, residuals_ND, out=residuals_ND)
    np.matmul(residuals_ND, frame.basis_DR, out=projected_NR)
    return Residuals(
        features_ND=features_ND,
        labels_N=labels_N,
        weights_N=weights_N,
        residuals_ND=residuals_ND,
        norms_N=np.sqrt(_squares(residuals_ND)),
        projected_NR=projected_NR,
        projected_norms_N=np.sqrt(_projected_squares(frame, residuals_ND, projected_NR)),
    )


def _projected_squares(frame: Frame, residuals_ND: Numbers, projected_NR: Numbers) -> Floats:
    squares_N = _squares(projected_NR)
    if frame.exact_DR is None:
        return squares_N
    far_N = np.flatnonzero(squares_N > FAR * squares_N.mean())
    if len(far_N):
        squares_N[far_N] = _squares(residuals_ND[far_N].astype(np.float64) @ frame.exact_DR)
    return squares_N


def _squares(rows_NX: Numbers) -> Floats:
    squares: Floats = np.vecdot(rows_NX, rows_NX).astype(np.float64)
    return squares


class _Pass:
    """The sums over a span while it is under way."""

    def __init__(self, plan: Plan, num_classes: int) -> None:
        self._plan = plan
        self._sums = RowSums.zero(plan)
        self._adder = ClassAdder(num_classes)
        self._wrong: list[Integers] = []
        self._open: list[Residuals] = []  # rows that no bound decides
        self.spaces = [_Space.of(frame, plan.block_rows) for frame in plan.frames]

    def add_views(self, views: list[Residuals], *, weighted: bool) -> None:
        """Add a block, seen from its own means and from those of the train split."""
        sums, own = self._sums, views[0]
        squares_N = _squares(own.features_ND)
        sums.norms[:] += np.sqrt(squares_N) @ own.weights_N, squares_N @ own.weights_N
        self._add(sums.squares_C, own, np.square(own.norms_N))
        targets = ((sums.scatter_C, sums.drift_CR), (sums.train_scatter_C, sums.train_drift_CR))
        for view, (scatter_C, drift_CR) in zip(views, targets, strict=False):
            self._add(scatter_C, view, np.square(view.projected_norms_N))
            if drift_CR.size:
                weights_N = view.weights_N if weighted else None
                self._adder.add(drift_CR, view.projected_NR, view.labels_N, weights_N)

    @staticmethod
    def _add(sums_C: Floats, block: Residuals, values_N: Floats | NDArray[np.bool_]) -> None:
        weighed_N = values_N * block.weights_N
        sums_C += np.bincount(block.labels_N, weights=weighed_N, minlength=len(sums_C))

    def score_stored(self, block: Residuals, logits_NC: Numbers) -> None:
        """Add what the network itself has said of a block."""
        for part in few_rows(len(block.labels_N), logits_NC.shape[1]):
            rows, double_NC = block.rows(part), logits_NC[part].astype(np.float64)
            if self._plan.label_smoothing is None:
                self._add_predictions(rows, double_NC.argmax(axis=1))
            else:
                self._add_predictions(rows, self._add_scores(rows, double_NC)[0])

    def score(self, block: Residuals) -> None:
        """Add predictions, loss and spread of a block: every logit is computed."""
        predictor = self._plan.predictor
        assert predictor is not None
        for part in few_rows(len(block.labels_N), len(predictor.bias_C)):
            rows = block.rows(part)
            best_N, gaps_N = self._add_scores(rows, predictor.logits(rows))
            self._add_predictions(rows, predictor.settle(rows, best_N, gaps_N))

    def decide(self, block: Residuals) -> None:
        """Add predictions of a block, most of them proven and never computed."""
        predictor, nearest = self._plan.predictor, self._plan.nearest
        assert predictor is not None
        proven = predictor.proven(block)
        if nearest is not None:
            proven &= nearest.proven(block)
        self._add(self._sums.correct_C, block, proven)
        left = np.flatnonzero(~proven)
        if len(left):
            self._open.append(block.rows(left))
        if sum(len(rows.labels_N) for rows in self._open) >= DECIDED_TOGETHER:
            self._close()

    def _close(self) -> None:
        predictor = self._plan.predictor
        if self._open and predictor is not None:
            rows = Residuals.joined(self._open)
            self._open.clear()
            self._add_predictions(rows, predictor.predict(rows))

    def _add_scores(self, rows: Residuals, logits_NC: Floats) -> tuple[Integers, Floats]:
        delta = self._plan.label_smoothing
        assert delta is not None
        found = score_logits(logits_NC, rows.labels_N, label_smoothing=delta)
        defined_N = ~np.isnan(found.spreads_N)
        spreads_N = np.where(defined_N, found.spreads_N, 0.0)
        totals = (found.losses_N, spreads_N, defined_N)
        self._sums.scores[:] += [float(values_N @ rows.weights_N) for values_N in totals]
        return found.top_N, found.gaps_N

    def _add_predictions(self, rows: Residuals, predicted_N: Integers) -> None:
        self._add(self._sums.correct_C, rows, predicted_N == rows.labels_N)
        if self._plan.nearest is not None:
            self._add(self._sums.astray_C, rows, self._plan.nearest.find(rows) != predicted_N)
        wrong = np.flatnonzero(predicted_N != rows.labels_N)
        codes = rows.labels_N[wrong] * len(self._sums.correct_C) + predicted_N[wrong]
        self._wrong.append(np.stack([codes, rows.weights_N[wrong].astype(np.int64)]))

    def finish(self) -> RowSums:
        """Return the sums."""
        self._close()
        confused = np.concatenate([self._sums.confused, *self._wrong], axis=1)
        return replace(self._sums, confused=count_codes(confused))
