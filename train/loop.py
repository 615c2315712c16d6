"""The training loop: SGD with momentum, a step schedule, one of four losses.

A trainer goes one epoch at a time and depends on nothing but its settings and its state, so that
a run that was cut off continues to the same bits (on the CPU, where arithmetic is repeatable).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from train.compiled import compiled_apart
from train.config import Settings
from train.convolutions import convolutions_for
from train.data import Images, load_data
from train.feed import AnyFeed, Feed
from train.graphs import TURN, GraphSteps
from train.networks import Network, make_network
from train.objectives import feature_penalty, loss_of
from train.steps import EagerSteps, Steps, Totals
from train.team import Team

Array = NDArray[Any]

_CAPTURE_PIXELS = 2**20  # of a block of images when features are collected; bounds the memory
_CAPTURE_ROWS = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What the last layer saw, and the last layer, as numpy arrays."""

    splits: Mapping[str, tuple[Array, ...]]  # name -> features (N, d), labels (N,)[, logits (N, K)]
    weight: Array  # (K, d)
    bias: Array | None  # (K,)


def capture_sizes(count: int, dim: int, classes: int, *, logits: bool) -> dict[str, int]:
    """Return what a capture of `count` samples holds: numbers of each kind, d and K."""
    return {
        "features": count * dim,
        "logits": count * classes if logits else 0,
        "labels": count,
        "dim": dim,
        "classes": classes,
    }


class Trainer(Protocol):
    """One model in training."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, or none."""

    @property
    def images_digest(self) -> str:
        """What tells the images from others of that name, where a name does not; or empty."""

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch (counted from 1); return what the log says of it."""

    def capture(self) -> Capture:
        """Return features, labels, logits and classifier as they are now."""

    def sizes(self) -> dict[str, int]:
        """Return how many features, logits and labels a capture has, and dim and classes."""

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
        data: Images | None = None,
        graphs: bool = False,
        compiled: bool = False,
        team: Team = Team(),  # noqa: B008 - frozen
    ) -> None:
        """graphs: replay the step as a CUDA graph. compiled: let torch.compile fuse its kernels."""
        data = data or load_data(settings)
        self.settings = settings
        self._class_names = data.class_names
        self._images_digest = data.digest
        self.image_shape = data.shape
        self.feed = make_feed(data, settings, device)
        network = make_network(settings, shape=data.shape, num_classes=data.num_classes)
        self.network: Network = network.to(device)
        if device == "cuda" and data.std:
            # Not on the CPU, where it would be half again as fast: with few channels PyTorch 2.15
            # then writes where it must not, and the process dies.
            self.network.to(memory_format=torch.channels_last)
        self.team = team
        self.network.chance.rank = team.rank
        self.both = team.together(self.network)
        self.loss = loss_of(settings)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,  # one kernel for all parameters: a tenth of the step time on a CPU
        )
        self.objective = self._objective
        if compiled:
            self.objective = compiled_apart(self._objective, self.network)
        self.steps: Steps = EagerSteps(self.step)
        self.turn: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if graphs:
            self.turn = TURN
            # before the first step, which would otherwise make it while it is recorded
            self.network.chance.generator(self.feed.device)
            self.steps = GraphSteps(self.step, self.network.chance.on_devices)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, or none."""
        return self._class_names

    @property
    def images_digest(self) -> str:
        """What tells a folder's images from those of another one."""
        return self._images_digest

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Train on every image once, in the epoch's own order; a last partial batch is dropped."""
        rate = learning_rate(self.settings, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.turn:
            self.network.train()
            self.network.chance.start(epoch)
            plan = self.feed.plan(epoch, self.team.share)
        totals = self.steps.run(plan, rate)
        with self.turn:
            loss = float(self.team.total(totals.loss)) / self.team.size
            correct = int(self.team.total(totals.correct))
        return {
            "learning_rate": rate,
            "train_loss": loss / plan.batches,
            "train_accuracy": correct / (plan.batches * self.settings.batch_size),
        }

    def step(self, rows: Tensor, cuts: Tensor | None, totals: Totals) -> None:
        """Take one step on the rows (B,) of the training images; add what it tells to `totals`."""
        objective, loss, correct = self.objective(*self.feed.batch(rows, cuts))
        self.optimizer.zero_grad(set_to_none=True)
        objective.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        totals.loss += loss.detach()
        totals.correct += correct

    def _objective(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is minimised, the loss in it, and how many of the images are right."""
        with self._autocast(images.device.type):
            features, logits = self.both(images)
        logits = logits.float()
        loss = self.loss(logits, labels)
        objective = loss
        if self.settings.feature_decay:
            objective = loss + feature_penalty(
                features, decay=self.settings.feature_decay, count=self.feed.counts["train"]
            )
        return objective, loss, (logits.detach().argmax(1) == labels).sum()

    def _autocast(self, device: str) -> torch.autocast:
        enabled = self.settings.precision == "bfloat16"
        return torch.autocast(device, dtype=torch.bfloat16, enabled=enabled)

    def capture(self) -> Capture:
        """Collect every part of the data in eval mode, un-augmented; the numbers are float32."""
        with self.turn, torch.inference_mode(), convolutions_for(self.settings.dtype):
            self.network.eval()
            splits = {name: self._capture_part(name) for name in self.feed.counts}
        bias = self.network.classifier.bias
        return Capture(
            splits=splits,
            weight=_numpy(self.network.classifier.weight),
            bias=None if bias is None else _numpy(bias),
        )

    def _capture_part(self, part: str) -> tuple[Array, ...]:
        high, wide = self.image_shape[1:]
        rows = max(1, min(_CAPTURE_ROWS, _CAPTURE_PIXELS // (high * wide)))
        count, done = self.feed.counts[part], 0
        dim = self.network.classifier.in_features
        features = torch.empty((count, dim), device=self.feed.device)
        labels = torch.empty(count, dtype=torch.int64, device=self.feed.device)
        for images, some in self.feed.blocks(part, rows):
            block = slice(done, done + len(some))
            features[block], labels[block] = self.network.features(images), some
            done = block.stop
        if not self.settings.save_logits:
            return _numpy(features), _numpy(labels)
        return _numpy(features), _numpy(labels), _numpy(self.network.classifier(features))

    def sizes(self) -> dict[str, int]:
        """Return how many numbers a capture has of each kind, d and K."""
        classes, dim = self.network.classifier.weight.shape
        count = sum(self.feed.counts.values())
        return capture_sizes(count, dim, classes, logits=self.settings.save_logits)

    def state(self) -> dict[str, Any]:
        """Weights, running statistics and momentum; order and schedule follow from the epoch."""
        with self.turn:
            return {
                "network": _on_cpu(self.network.state_dict()),
                "optimizer": _on_cpu(self.optimizer.state_dict()),
            }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        with self.turn:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])


def make_feed(data: Images, settings: Settings, device: str) -> AnyFeed:
    """Return where the batches come from."""
    if data.files:
        # Deferred: it brings torchvision in, which costs a second.
        from train.streamed import StreamedFeed

        return StreamedFeed(data, settings, device)
    return Feed(data, settings, device)


def learning_rate(settings: Settings, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 1 (torch's MultiStepLR, without state)."""
    done = epoch - 1
    passed = sum(round(part * settings.epochs) <= done for part in settings.milestones)
    return settings.learning_rate * settings.gamma**passed


def _on_cpu(state: Any) -> Any:
    """Return nested dicts and lists with their tensors on the CPU, those there as they are."""
    if isinstance(state, dict):
        return {key: _on_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_on_cpu(value) for value in state]
    return state.cpu() if isinstance(state, Tensor) else state


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    # On the CPU it would share memory with weights that go on changing.
    return array if tensor.is_cuda else array.copy()
