"""What the network predicts on a split, and whether the nearest class centre agrees (NC4).

N samples, K classes, J = K - 1 classes other than the label, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nccli.centres import Centres
from nccli.checkpoint import Checkpoint
from nccli.logits import Floats, Integers, can_predict, cross_entropy, logit_blocks
from nccli.text import plural


def predictions(
    checkpoint: Checkpoint,
    split: str,
    labels_N: Integers,
    train: Centres | None,
    notes: list[str],
) -> dict[str, float | None]:
    """Return accuracy, loss, nontarget_logit_spread and nc4; {} where nothing can be predicted.

    train: the centres of the train split, for NC4. What is undefined is told in `notes`.
    """
    if not can_predict(checkpoint, split):
        notes.append(
            f"neither a classifier nor {split}/logits in the file: accuracy, loss, nc4 and "
            "nontarget_logit_spread are undefined"
        )
        return {}
    delta = checkpoint.metadata.label_smoothing
    if delta is None:
        notes.append("label_smoothing is not recorded: loss is the plain cross-entropy (delta 0)")
    loss, predicted_N, spreads_N = 0.0, np.empty(len(labels_N), dtype=np.int64), []
    for rows, logits_NK in logit_blocks(checkpoint, split):
        losses_N = cross_entropy(logits_NK, labels_N[rows], label_smoothing=delta or 0.0)
        loss += float(losses_N.sum())
        predicted_N[rows] = logits_NK.argmax(axis=1)
        spreads_N.append(_nontarget_spread(logits_NK, labels_N[rows]))
    return {
        "accuracy": float(np.mean(predicted_N == labels_N)),
        "loss": loss / len(labels_N),
        "nontarget_logit_spread": _mean_spread(np.concatenate(spreads_N), notes),
        "nc4": None if train is None else _nc4(checkpoint, split, predicted_N, train),
    }


def _nontarget_spread(logits_NK: Floats, labels_N: Integers) -> Floats:
    others = np.ones(logits_NK.shape, dtype=bool)
    np.put_along_axis(others, labels_N[:, None], values=False, axis=1)
    nontarget_NJ = logits_NK[others].reshape(len(labels_N), -1)
    span_N = np.ptp(logits_NK, axis=1)
    spread_N = np.full(len(labels_N), np.nan)  # all logits equal: 0/0, left out of the mean
    np.divide(nontarget_NJ.std(axis=1), span_N, out=spread_N, where=span_N > 0)
    return spread_N


def _mean_spread(spread_N: NDArray[np.float64], notes: list[str]) -> float | None:
    defined = spread_N[~np.isnan(spread_N)]
    if len(defined) < len(spread_N):
        equal = plural(len(spread_N) - len(defined), "sample")
        notes.append(f"nontarget_logit_spread leaves out {equal} with all logits equal")
    return float(defined.mean()) if len(defined) else None


def _nc4(checkpoint: Checkpoint, split: str, predicted_N: Integers, train: Centres) -> float:
    offset_D = train.means_CD[train.present].mean(axis=0)
    half_K = 0.5 * np.square(train.centred_KD).sum(axis=1)
    differs = 0
    for rows, features_ND in checkpoint.split(split).features.blocks():
        # argmin of norm(h - mu_c)^2 / 2, less norm(h)^2 / 2, measured from the mean of the centres
        scores_NK = half_K - (features_ND - offset_D) @ train.centred_KD.T
        nearest_N = train.present[scores_NK.argmin(axis=1)]
        differs += int(np.count_nonzero(nearest_N != predicted_N[rows]))
    return differs / len(predicted_N)
