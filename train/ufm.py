"""The unconstrained feature model, trained: W and all features are free, in float64.

Full-batch gradient descent with momentum on the L of `nccli.ufm` from a small random start. Its
minimum is known in closed form, so a run says how far training gets from what theory promises.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nccli.ufm import Problem, joint_spectrum, minimiser
from train.checks import problem_of
from train.config import Settings
from train.loop import Capture, capture_sizes

STEPS_PER_EPOCH = 10  # so that the default 200 epochs, 2,000 steps, end at the minimum to 1e-12
START_SCALE = 0.01  # standard deviation of the start; small, so that all runs begin at one saddle

_PATH_POINTS = 100  # where the curvature is looked up between the start and the minimum


class UnconstrainedFeatures:
    """W (K, d) and H (N, d) on their way to the minimum."""

    def __init__(self, settings: Settings, *, device: str = "cpu") -> None:
        self.settings = settings
        labels = torch.arange(settings.num_classes).repeat_interleave(settings.per_class)
        self.labels = labels.to(device)
        generator = np.random.default_rng(settings.seed)
        self.weight = _start(generator, (settings.num_classes, settings.dim), device)
        self.features = _start(generator, (len(labels), settings.dim), device)
        self.step_size = step_size(problem_of(settings))
        self.optimizer = torch.optim.SGD(
            [
                {"params": [self.weight], "weight_decay": settings.lambda_w},
                {"params": [self.features], "weight_decay": settings.lambda_h},
            ],
            lr=self.step_size,
            momentum=settings.momentum,
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """None: the classes are numbers."""
        return ()

    @property
    def images_digest(self) -> str:
        """None: there are no images."""
        return ""

    def run_epoch(self, epoch: int) -> dict[str, float]:  # noqa: ARG002 (every epoch is alike)
        """Take STEPS_PER_EPOCH steps; return data term, objective and accuracy before the last."""
        for _ in range(STEPS_PER_EPOCH):
            logits = self.features @ self.weight.T
            loss = functional.cross_entropy(
                logits, self.labels, label_smoothing=self.settings.label_smoothing
            )
            objective = loss.detach() + self._penalty()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return {
            "learning_rate": self.step_size,
            "train_loss": float(loss.detach()),
            "objective": float(objective),
            "train_accuracy": float((logits.detach().argmax(1) == self.labels).double().mean()),
        }

    def _penalty(self) -> Tensor:
        weight, features = self.weight.detach(), self.features.detach()
        settings = self.settings
        return settings.lambda_w / 2 * weight.square().sum() + (
            settings.lambda_h / 2 * features.square().sum()
        )

    def capture(self) -> Capture:
        """Return H, labels and W; the model has no bias and no test data."""
        features, weight = self.features.detach(), self.weight.detach()
        arrays = [features, self.labels]
        if self.settings.save_logits:
            arrays.append(features @ weight.T)
        return Capture(
            splits={"train": tuple(array.cpu().numpy().copy() for array in arrays)},
            weight=weight.cpu().numpy().copy(),
            bias=None,
        )

    def sizes(self) -> dict[str, int]:
        """Return how many numbers a capture has of each kind, d and K."""
        classes, dim = self.weight.shape
        return capture_sizes(len(self.labels), dim, classes, logits=self.settings.save_logits)

    def state(self) -> dict[str, Any]:
        """W, H and the momentum."""
        return {
            "weight": self.weight.detach(),
            "features": self.features.detach(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        with torch.no_grad():
            self.weight.copy_(state["weight"])
            self.features.copy_(state["features"])
        self.optimizer.load_state_dict(state["optimizer"])


def step_size(problem: Problem) -> float:
    """Return the step of gradient descent: 1 / (largest curvature on the way to the minimum).

    The curvature at the minimum alone is not enough: with weak penalties the network is sure
    there and its loss flat, and steps that suit it diverge on the way. The minima of all greater
    smoothings are the symmetric points between 0 and the minimum (same directions, same ratio of
    norms), so the joint spectrum is known there, up to the coupling of W and H by the gradient,
    which is added as a bound. Momentum 0.9 alone would be stable up to 3.8 times this step.
    """
    smoothings = np.linspace(problem.label_smoothing, 1, _PATH_POINTS, endpoint=False)
    points = [replace(problem, label_smoothing=float(delta)) for delta in smoothings]
    return 1 / max(_curvature_bound(problem, point) for point in points)


def _curvature_bound(problem: Problem, point: Problem) -> float:
    # (1 - delta - D) / (K sqrt(n)) couples W and H: THEORY.md section 3 (iii), c off the minimum
    gradient = 1 - problem.label_smoothing - minimiser(point).dominance
    coupling = gradient / (problem.num_classes * math.sqrt(problem.per_class))
    return joint_spectrum(point)[0].value + max(coupling - problem.lambda_z, 0)


def _start(generator: np.random.Generator, shape: tuple[int, int], device: str) -> Tensor:
    start = START_SCALE * generator.standard_normal(shape)
    return torch.from_numpy(start).to(device).requires_grad_()
