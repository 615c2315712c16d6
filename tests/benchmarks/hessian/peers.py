"""What every peer gets: an nn.Linear over the saved features, its weight the only parameter.

The bias is a constant of the model, so that all contenders have the same operator: the W block of
the mean cross-entropy. Batches are slices of one array in memory, which costs neither peer a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from source import load
from torch import Tensor, nn

Batches = list[tuple[Tensor, Tensor]]

torch.set_num_threads(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Model, loss and data of a checkpoint in torch."""

    model: nn.Linear
    loss: nn.CrossEntropyLoss
    batches: Batches

    @property
    def weight(self) -> nn.Parameter:
        """The one parameter."""
        return self.model.weight


def problem(path: Path, batch: int) -> Problem:
    """Read a checkpoint into a model and a list of batches."""
    arrays = load(path)
    classes, dim = arrays.weight_KD.shape
    model = nn.Linear(dim, classes)
    model.weight.data.copy_(torch.from_numpy(arrays.weight_KD))
    model.bias.data.copy_(torch.from_numpy(arrays.bias_K))
    model.bias.requires_grad_(False)
    features = torch.from_numpy(arrays.features_ND).split(batch)
    labels = torch.from_numpy(arrays.labels_N).split(batch)
    return Problem(
        model=model.eval(),
        loss=nn.CrossEntropyLoss(),
        batches=list(zip(features, labels, strict=True)),
    )
