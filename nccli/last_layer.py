"""The last linear layer of a network, and what goes into it; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nccli.errors import UsageError
from nccli.text import shortlist

OPTION = "--layer NAME"  # how a layer is named on the command line


def logits_of(output: Any) -> Tensor:
    """Return the logits that a network gave: a tensor, the first of several, or `.logits`."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    output = getattr(output, "logits", output)
    if isinstance(output, dict):
        output = output.get("logits", next(iter(output.values()), None))
    if not isinstance(output, Tensor):
        raise UsageError(f"the network gave {type(output).__name__}, no logits")
    return output


@contextmanager
def inputs_of(layer: nn.Module, into: list[Tensor]) -> Iterator[None]:
    """Append what goes into a layer to a list, at each pass."""
    hook = layer.register_forward_pre_hook(
        lambda _, words, named: into.append(words[0] if words else named["input"]),
        with_kwargs=True,
    )
    try:
        yield
    finally:
        hook.remove()


def last_linear(
    model: nn.Module, run: Callable[[], Any], *, name: str | None = None, option: str = OPTION
) -> nn.Linear:
    """Return the named linear layer, or the one whose output the network gives.

    run: calls the network on a few samples and returns its output. option: how the caller's user
    names a layer, for the message. Raises UsageError where there is none.
    """
    layers = {path: one for path, one in model.named_modules() if isinstance(one, nn.Linear)}
    if name is not None:
        if name not in layers:
            raise UsageError(f"no linear layer is called '{name}'", remedy=_named(layers))
        return layers[name]
    seen: list[tuple[nn.Linear, Tensor]] = []
    hooks = [
        one.register_forward_hook(lambda layer, _, output: seen.append((layer, output)))
        for one in layers.values()
    ]
    try:
        with torch.no_grad():  # not inference_mode: what a network caches must serve training, too
            logits = logits_of(run())
    finally:
        for hook in hooks:
            hook.remove()
    for layer, output in reversed(seen):
        if _same(output, logits):
            return layer
    raise UsageError(
        "no linear layer gives the network's output as it is",
        remedy=f"{option}; {_named(layers)}",
    )


def _same(output: Tensor, logits: Tensor) -> bool:
    if output.numel() != logits.numel():
        return False
    # under autocast a network may give float32 of what its last layer gave in half precision
    output = output.reshape(logits.shape).to(logits.dtype)
    return torch.allclose(output, logits, rtol=0, atol=0, equal_nan=True)


def _named(layers: dict[str, nn.Linear]) -> str:
    return f"it has: {shortlist(list(layers)[::-1])}" if layers else "it has no linear layer"


def only_input(seen: list[Tensor], layer: nn.Linear, *, option: str = OPTION) -> Tensor:
    """Take the one input (N, d) of a pass off the list that `inputs_of` fills.

    Raises UsageError where the layer ran another number of times, or saw one row a position.
    """
    if len(seen) != 1:
        raise UsageError(f"the layer runs {len(seen)} times a pass", remedy=f"{option} for another")
    return as_rows(seen.pop(), layer, option=option)


def as_rows(features: Tensor, layer: nn.Linear, *, option: str = OPTION) -> Tensor:
    """Return (N, d) of what went into a layer; raises UsageError on one row a position."""
    rows = features.reshape(features.shape[0], -1)
    if rows.shape[1] != layer.in_features:
        raise UsageError(
            f"the layer sees {tuple(features.shape[1:])} of a sample, not d = {layer.in_features}",
            remedy=f"name the layer behind the pooling: {option}",
        )
    return rows
