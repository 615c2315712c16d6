"""Logits of a checkpoint and their softmax, without cancellation.

N samples, K classes, D features. A confident network has 1 - p_top far below the rounding error
of p_top; so the complement is summed from the other classes, never subtracted from one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """Probabilities of a block of logits, with each 1 - p to full relative precision."""

    probabilities: Floats  # (N, K), rows sum to 1
    complements: Floats  # (N, K): 1 - p, never by subtraction from one where p is near one
    top: Integers  # (N,) the predicted class: argmax, the first one on ties
    log_partition: Floats  # (N,) log sum_k exp(z_k)

    @property
    def confidence(self) -> Floats:
        """Probability of the predicted class (N,)."""
        return np.take_along_axis(self.probabilities, self.top[:, None], axis=1)[:, 0]

    @property
    def doubt(self) -> Floats:
        """1 - confidence (N,), right to full relative precision."""
        return np.take_along_axis(self.complements, self.top[:, None], axis=1)[:, 0]


def softmax(logits_NK: Floats) -> Softmax:
    """Return the softmax of each row of `logits_NK` (N, K)."""
    top_N = logits_NK.argmax(axis=1)
    peak_N1 = np.take_along_axis(logits_NK, top_N[:, None], axis=1)
    exponentials_NK = np.exp(logits_NK - peak_N1)
    np.put_along_axis(exponentials_NK, top_N[:, None], 0.0, axis=1)
    others_N1 = exponentials_NK.sum(axis=1, keepdims=True)
    np.put_along_axis(exponentials_NK, top_N[:, None], 1.0, axis=1)
    probabilities_NK = exponentials_NK / (1.0 + others_N1)
    complements_NK = 1.0 - probabilities_NK
    np.put_along_axis(complements_NK, top_N[:, None], others_N1 / (1.0 + others_N1), axis=1)
    return Softmax(
        probabilities=probabilities_NK,
        complements=complements_NK,
        top=top_N,
        log_partition=peak_N1[:, 0] + np.log1p(others_N1[:, 0]),
    )


def can_predict(checkpoint: Checkpoint, split: str) -> bool:
    """Tell whether a split has logits, its own or through the classifier."""
    return checkpoint.classifier is not None or checkpoint.split(split).logits is not None


def logit_blocks(checkpoint: Checkpoint, split: str) -> Iterator[tuple[slice, Floats]]:
    """Yield (row slice, float64 logits (n, K)): the stored ones, else features W^T + b.

    Raises ContentError where the checkpoint has neither.
    """
    part = checkpoint.split(split)
    if part.logits is not None:
        yield from part.logits.blocks()
        return
    if checkpoint.classifier is None:
        raise ContentError(
            f"has neither a classifier nor {split}/logits",
            remedy="save classifier/weight (and bias), or the logits, with the features",
        )
    weight_KD, bias_K = checkpoint.classifier.arrays()
    for rows, features_ND in part.features.blocks():
        yield rows, features_ND @ weight_KD.T + bias_K


def load_logits(checkpoint: Checkpoint, split: str) -> Floats:
    """Return all logits of a split (N, K) in float64."""
    return np.concatenate([block for _, block in logit_blocks(checkpoint, split)])


def load_labels(checkpoint: Checkpoint, split: str) -> Integers:
    """Return the labels of a split (N,) as int64."""
    return np.asarray(checkpoint.split(split).labels.load(), dtype=np.int64)


def cross_entropy(logits_NK: Floats, labels_N: Integers, *, label_smoothing: float) -> Floats:
    """Per-sample cross-entropy against smoothed targets (N,), in nats.

    Targets are (1 - delta) e_y + delta / K, as in torch's `label_smoothing` and arXiv 2402.03979.
    """
    log_partition_N = softmax(logits_NK).log_partition
    own_N = np.take_along_axis(logits_NK, labels_N[:, None], axis=1)[:, 0]
    mean_N = logits_NK.mean(axis=1)
    target_N = (1.0 - label_smoothing) * own_N + label_smoothing * mean_N
    loss: Floats = log_partition_N - target_N
    return loss
