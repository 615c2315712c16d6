"""Loss, non-target spread and prediction of a block of logits.

N samples, C classes. Everything is measured from the largest logit, so that a loss of 1e-9 has as
many digits as one of 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli.logits import Floats, Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the logits of each row say."""

    top_N: Integers  # the largest logit, the first one where two are equal
    gaps_N: Floats  # how far it is above the second
    losses_N: Floats  # nats
    spreads_N: Floats  # NaN where all logits are equal: 0/0


def score_logits(logits_NC: Floats, labels_N: Integers, *, label_smoothing: float) -> Scores:
    """Return the loss against smoothed targets and the non-target spread of each row.

    Targets are (1 - delta) e_y + delta / K, as in torch's `label_smoothing` and arXiv 2402.03979;
    the spread is (std of the K - 1 non-target logits) / (largest minus smallest), Mechanism 2.
    The logits are used up.
    """
    count, num_classes = logits_NC.shape
    rows, ones_C = np.arange(count), np.ones(num_classes)
    top_N = logits_NC.argmax(axis=1)
    shifted_NC = np.subtract(logits_NC, logits_NC[rows, top_N][:, None], out=logits_NC)
    own_N = shifted_NC[rows, labels_N]
    spans_N = -shifted_NC.min(axis=1)
    totals_N = shifted_NC @ ones_C
    exponentials_NC = np.exp(shifted_NC)
    exponentials_NC[rows, top_N] = 0.0  # its exact 1 would swallow the others
    partition_N = np.log1p(exponentials_NC @ ones_C)
    losses_N = (1.0 - label_smoothing) * (partition_N - own_N)
    losses_N += label_smoothing * (partition_N - totals_N / num_classes)
    with np.errstate(divide="ignore"):
        gaps_N = -np.log(exponentials_NC.max(axis=1))
    shifted_NC -= ((totals_N - own_N) / (num_classes - 1))[:, None]
    shifted_NC[rows, labels_N] = 0.0
    stds_N = np.sqrt(np.vecdot(shifted_NC, shifted_NC) / (num_classes - 1))
    spreads_N = np.full(count, np.nan)
    np.divide(stds_N, spans_N, out=spreads_N, where=spans_N > 0)
    return Scores(top_N=top_N, gaps_N=gaps_N, losses_N=losses_N, spreads_N=spreads_N)
