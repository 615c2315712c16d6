"""The training loop: cross-entropy or label smoothing, SGD with momentum, a step schedule.

A trainer goes one epoch at a time and depends on nothing but its settings and its state, so that
a run that was cut off continues to the same bits (on the CPU, where arithmetic is repeatable).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from train.config import Settings
from train.digits import NUM_CLASSES, LabelledImages, load_digits
from train.models import make_network

Array = NDArray[Any]

_CAPTURE_ROWS = 4_096  # images per block when features are collected; bounds the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What the last layer saw, and the last layer, as numpy arrays."""

    splits: Mapping[str, tuple[Array, ...]]  # name -> features (N, d), labels (N,)[, logits (N, K)]
    weight: Array  # (K, d)
    bias: Array | None  # (K,)


class Trainer(Protocol):
    """One model in training."""

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch (counted from 1); return what the log says of it."""

    def capture(self) -> Capture:
        """Return features, labels, logits and classifier as they are now."""

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""


class Classification:
    """A network that learns to tell images apart."""

    def __init__(
        self,
        settings: Settings,
        *,
        device: str = "cpu",
        parts: Mapping[str, LabelledImages] | None = None,
    ) -> None:
        parts = parts or load_digits(pixel_noise=settings.pixel_noise)
        self.settings = settings
        self.parts = {name: _on_device(part, device) for name, part in parts.items()}
        self.network = make_network(settings, num_classes=NUM_CLASSES).to(device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,  # one kernel for all parameters: a tenth of the step time on a CPU
        )

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Train on every image once, in the epoch's own order; a last partial batch is dropped."""
        rate = learning_rate(self.settings, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images, labels = self.parts["train"]
        order = shuffled(len(labels), seed=self.settings.seed, epoch=epoch).to(labels.device)
        size = self.settings.batch_size
        batches = len(labels) // size
        total_loss = torch.zeros((), device=labels.device)
        correct = torch.zeros((), dtype=torch.int64, device=labels.device)
        self.network.train()
        for batch in order[: batches * size].view(batches, size):
            loss, hits = self._step(images[batch], labels[batch])
            total_loss += loss
            correct += hits
        return {
            "learning_rate": rate,
            "train_loss": float(total_loss) / batches,
            "train_accuracy": int(correct) / (batches * size),
        }

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        loss = functional.cross_entropy(
            logits, labels, label_smoothing=self.settings.label_smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def capture(self) -> Capture:
        """Collect every part of the data in eval mode."""
        self.network.eval()
        with torch.inference_mode():
            splits = {name: self._capture_part(*part) for name, part in self.parts.items()}
        return Capture(
            splits=splits,
            weight=_numpy(self.network.classifier.weight),
            bias=_numpy(self.network.classifier.bias),
        )

    def _capture_part(self, images: Tensor, labels: Tensor) -> tuple[Array, ...]:
        blocks = [self.network.features(block) for block in torch.split(images, _CAPTURE_ROWS)]
        features = torch.cat(blocks)
        if not self.settings.save_logits:
            return _numpy(features), _numpy(labels)
        return _numpy(features), _numpy(labels), _numpy(self.network.classifier(features))

    def state(self) -> dict[str, Any]:
        """Weights, running statistics and momentum; order and schedule follow from the epoch."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


def learning_rate(settings: Settings, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 1 (torch's MultiStepLR, without state)."""
    done = epoch - 1
    passed = sum(round(part * settings.epochs) <= done for part in settings.milestones)
    return settings.learning_rate * settings.gamma**passed


def shuffled(count: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order (count,) in which an epoch sees its samples; depends on nothing else."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
    return torch.randperm(count, generator=torch.Generator().manual_seed(mixed))


def _on_device(part: LabelledImages, device: str) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.images).to(device), torch.from_numpy(part.labels).to(device)


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array.copy()  # on the CPU it would share memory with weights that go on changing
