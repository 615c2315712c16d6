"""Both passes over a split: everything that its neural-collapse metrics are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint, LazyArray
from nccli.collapse.centres import Centres, class_centres, working_dtype
from nccli.collapse.deciding import Nearest, Predictor
from nccli.collapse.residuals import Frame, Plan, RowSums, own_scatter, train_scatter
from nccli.collapse.second_pass import row_sums
from nccli.collapse.spans import Threads, Workers, block_rows, spans_of
from nccli.errors import ContentError
from nccli.logits import Floats, can_predict

# Squares of float32 numbers leave its range some way beyond these; and so may residuals a
# millionth of their size.
_SINGLE_RANGE = (1e-10, 1e10)
_SINGLE_RATIO = 10.0  # of singular values of M: rounding along the largest counts along the least


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The sums over one split, and the class centres that they are taken around."""

    own: Centres  # of the split itself
    train: Centres | None  # of the train split: the same object where that is this one
    sums: RowSums
    scatter_C: Floats  # sums by class of (h - mu)^T Sigma_B^+ (h - mu), around own means
    squares_C: Floats  # sums by class of |h - mu|^2, around own means
    train_scatter_C: Floats | None  # around the train means, with their Sigma_B
    predicted: bool
    scored: bool  # loss and spread are there

    @property
    def count(self) -> int:
        """N, the number of samples."""
        return int(self.own.counts_C.sum())


def measure(
    checkpoint: Checkpoint,
    split: str,
    *,
    known: dict[str, Centres] | None = None,
    workers: Workers | None = None,
    weights: Floats | None = None,
    every_logit: bool = True,
) -> Measurement:
    """Run both passes over a split.

    known: class centres by split that were computed before; those computed here are added.
    weights: how often each sample counts (N,), whole numbers; then `known` is not asked for the
    centres of this split, and for its own train split not changed.
    every_logit: False leaves out loss and non-target spread, which nothing can shorten.
    Raises ContentError where fewer than two classes have samples.
    """
    known = {} if known is None else known
    workers = workers or Threads(checkpoint)
    if weights is not None:
        own = class_centres(checkpoint, split, workers=workers, weights=weights)
    else:
        own = _centres_of(checkpoint, split, known, workers)
    train = _train_centres(checkpoint, split, own, known, workers)
    features = checkpoint.split(split).features
    for dtype in (_first_dtype(features, own, train), np.dtype(np.float64)):
        plan = _plan(checkpoint, split, own, train, dtype, every_logit=every_logit)
        sums = RowSums.zero(plan)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in workers.map(row_sums, spans_of(features, sums.nbytes), plan, weights):
                sums = sums.plus(part)
        if dtype == np.float64 or sums.finite:
            break  # else a square of finite numbers has left the range of float32
    return Measurement(
        own=own,
        train=train,
        sums=sums,
        scatter_C=own_scatter(plan.own, own.counts_C, sums),
        # around the mean itself the mean residual is zero: rounding it added just its square
        squares_C=np.maximum(sums.squares_C - own.counts_C * plan.own.shift_C, 0.0),
        train_scatter_C=(
            None if plan.train is None else train_scatter(plan.train, own.counts_C, sums)
        ),
        predicted=can_predict(checkpoint, split),
        scored=every_logit and can_predict(checkpoint, split),
    )


def _centres_of(
    checkpoint: Checkpoint, split: str, known: dict[str, Centres], workers: Workers
) -> Centres:
    if split not in known:
        known[split] = class_centres(checkpoint, split, workers=workers)
    return known[split]


def _train_centres(
    checkpoint: Checkpoint, split: str, own: Centres, known: dict[str, Centres], workers: Workers
) -> Centres | None:
    if split == "train":
        return own
    if "train" not in checkpoint.splits:
        return None
    try:
        return _centres_of(checkpoint, "train", known, workers)
    except ContentError:  # one class only: the train split tells so in its own result
        return None


def _first_dtype(features: LazyArray, own: Centres, train: Centres | None) -> np.dtype[Any]:
    found = [centres for centres in (own, train) if centres is not None]
    single = all(_fits_single(centres) for centres in found)
    return working_dtype(features) if single else np.dtype(np.float64)


def _plan(
    checkpoint: Checkpoint,
    split: str,
    own: Centres,
    train: Centres | None,
    dtype: np.dtype[Any],
    *,
    every_logit: bool,
) -> Plan:
    own_frame = Frame.of(own, dtype)
    other = train is not None and train is not own
    train_frame = Frame.of(train, dtype) if other and train is not None else None
    reference, centres = (train_frame, train) if other else (own_frame, own)
    assert reference is not None
    assert centres is not None
    predictor = None
    stored = checkpoint.split(split).logits is not None
    if checkpoint.classifier is not None and not stored:
        predictor = Predictor.of(*checkpoint.classifier.arrays(), reference.centres_CD, centres)
    return Plan(
        split=split,
        own=own_frame,
        train=train_frame,
        nearest=None if train is None else Nearest.of(train, np.sqrt(reference.shift_C), dtype),
        predictor=predictor,
        stored_logits=stored,
        label_smoothing=(checkpoint.metadata.label_smoothing or 0.0) if every_logit else None,
        block_rows=block_rows(checkpoint.split(split).features),
    )


def _fits_single(centres: Centres) -> bool:
    """Whether float32 has the range and, Sigma_B being even enough, the digits for residuals."""
    low, high = _SINGLE_RANGE
    scale = float(np.sqrt(np.mean(np.square(centres.means_CD[centres.present]))))
    if not low < scale < high or centres.smallest is None:
        return False
    ratio = float(np.sqrt(centres.variances_R[0] / centres.variances_R[-1]))
    return centres.smallest > low and ratio < _SINGLE_RATIO
