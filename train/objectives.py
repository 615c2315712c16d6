"""What training makes small: the loss of the logits, and the decay of the features.

Weight decay is the optimiser's own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from train.config import Settings

Loss = Callable[[Tensor, Tensor], Tensor]

_SMALLEST = 1e-12  # of 1 - p, whose power has no slope at 0


def loss_of(settings: Settings) -> Loss:
    """Return the mean loss over a batch, of logits (B, K) and labels (B,), in float32.

    Cross-entropy and label smoothing are PyTorch's own: the targets are 1 - delta + delta/K and
    delta/K (Szegedy et al. 2016). Focal loss is -(1 - p_y)^gamma log p_y (Lin et al. 2017). MSE
    is half the squared distance of the logits to the one-hot target (Han et al. 2022).
    """
    if settings.loss == "focal":
        return lambda logits, labels: focal_loss(logits, labels, gamma=settings.focal_gamma)
    if settings.loss == "mse":
        return mse_loss
    delta = settings.label_smoothing
    return lambda logits, labels: functional.cross_entropy(logits, labels, label_smoothing=delta)


def focal_loss(logits: Tensor, labels: Tensor, *, gamma: float) -> Tensor:
    """Return the mean of -(1 - p_y)^gamma log p_y; gamma 0 is cross-entropy."""
    log_p = functional.log_softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
    wrong = -torch.expm1(log_p)  # 1 - p, exact where p is near 1
    return -(wrong.clamp_min(_SMALLEST).pow(gamma) * log_p).mean()


def mse_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over the batch of ||z - e_y||^2 / 2, summed over the classes."""
    target = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return (logits - target).square().sum(dim=1).mean() / 2


def feature_penalty(features: Tensor, *, decay: float, count: int) -> Tensor:
    """Return lambda_H / 2 ||H||_F^2 over all `count` training samples, as a batch (B, d) tells it.

    The unconstrained feature model's penalty (THEORY section 1): with it in the objective, a
    network's last layer has the model's own regulariser.
    """
    return decay / 2 * count * features.float().square().sum(dim=1).mean()
