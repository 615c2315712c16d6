"""What the last layer sees of evaluation data, without a trace in the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nccli.callbacks.batches import call, parted
from nccli.errors import UsageError
from nccli.last_layer import inputs_of, last_linear, only_input

OPTION = "give layer='NAME'"


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode without gradients; give all modes back, and the random state.

    Even a loader that does not shuffle draws a seed of the global generator for each pass: without
    this, a training that is recorded would go another way than one that is not.
    """
    modes = [(module, module.training) for module in model.modules()]
    devices = {one.device.index for one in model.parameters() if one.device.type == "cuda"}
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=sorted(devices)):
            yield
    finally:
        for module, training in modes:
            module.training = training


def find_layer(model: nn.Module, loaders: dict[str, Any], name: str | None) -> nn.Linear:
    """Return the last linear layer, or the named one, once a batch of each split went through it.

    So that what is wrong with data or layer is told before the training. Raises UsageError.
    """
    if next(model.parameters(), None) is None:
        raise UsageError("the network has no parameters")
    layer: nn.Linear | None = None
    with undisturbed(model):
        for split, loader in loaders.items():
            inputs, labels = parted(_first(loader, split), split=split)
            if layer is None:

                def run(inputs: Any = inputs, labels: Tensor = labels) -> Any:
                    return call(model, inputs, labels)

                layer = _found(model, run, name)
            _pass(model, layer, inputs, labels)
    assert layer is not None
    return layer


def _found(model: nn.Module, run: Callable[[], Any], name: str | None) -> nn.Linear:
    try:
        return last_linear(model, run, name=name, option=OPTION)
    except NotImplementedError:  # torch.nn.Module's own
        raise UsageError(
            f"{type(model).__name__} has no forward()",
            remedy="define forward(inputs), returning the logits",
        ) from None


def _first(loader: Any, split: str) -> Any:
    for batch in loader:
        return batch
    raise UsageError(f"{split}= has no batch", remedy="give one that can be read again and again")


def measure(model: nn.Module, layer: nn.Linear, loader: Any, *, split: str) -> tuple[Tensor, ...]:
    """Return features (N, d), in the type the network computes in, and labels (N,), on the CPU."""
    parts = []
    with undisturbed(model):
        for batch in loader:
            inputs, labels = parted(batch, split=split)
            parts.append((_pass(model, layer, inputs, labels).cpu(), labels.cpu()))
    if not parts:
        raise UsageError(f"{split}= has no batch", remedy="give one that can be read again")
    return tuple(torch.cat(one) for one in zip(*parts, strict=True))


def _pass(model: nn.Module, layer: nn.Linear, inputs: Any, labels: Tensor) -> Tensor:
    seen: list[Tensor] = []
    with inputs_of(layer, seen):
        call(model, inputs, labels)
    return only_input(seen, layer, option=OPTION)


def decay_of(optimizers: list[Any], layer: nn.Linear) -> float | None:
    """Return the weight decay on the last layer's weight, lambda_W; None where it is no penalty.

    Trainers take biases out of the decay, so that groups differ: the weight's own group counts.
    AdamW's decay is decoupled from the loss, and corresponds to no lambda_W/2 ||W||^2.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if any(one is layer.weight for one in group["params"]):
                decay = float(group.get("weight_decay", 0.0))
                return None if decay and _decoupled(optimizer, group) else decay
    return None


def _decoupled(optimizer: Any, group: dict[str, Any]) -> bool:
    kind = type(getattr(optimizer, "optimizer", optimizer))  # accelerate wraps it
    return bool(group.get("decoupled_weight_decay")) or "adamw" in kind.__name__.lower()
