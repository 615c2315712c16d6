"""Dropout and stochastic depth that draw from their run's own random numbers.

PyTorch's own draw from one global state. Two runs side by side in one process would then change
each other, and a resumed run would need that state. Here a run draws from a generator of its own
that starts anew with every epoch, from the run's seed and the epoch alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

_STREAM = 0xD000  # apart from the order of the samples, which has the same seed and epoch


class Chance:
    """The random numbers of one run, on each device that asks."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.rank = 0  # of a process that trains the network with others
        self._epoch = 0
        self._generators: dict[torch.device, torch.Generator] = {}

    def start(self, epoch: int) -> None:
        """Begin an epoch: what is drawn in it depends on nothing that was drawn before."""
        self._epoch = epoch
        for generator in self._generators.values():
            generator.manual_seed(self._mixed())

    def generator(self, device: torch.device) -> torch.Generator:
        """Return the generator of a device."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._mixed())
        return self._generators[device]

    def on_devices(self) -> list[torch.Generator]:
        """Return every generator that was asked for; a CUDA graph must know them."""
        return list(self._generators.values())

    def _mixed(self) -> int:
        mixed = np.random.SeedSequence([self._seed, self._epoch, _STREAM + self.rank])
        return int(mixed.generate_state(1, np.uint64)[0] >> np.uint64(1))


class Dropout(nn.Module):
    """Zeroes each number with probability `p` while training, and scales the others up."""

    def __init__(self, p: float, chance: Chance, *, by_sample: bool = False) -> None:
        super().__init__()
        self.p = p
        self.by_sample = by_sample
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        """Return x, masked while training; with `by_sample` a sample is kept or zeroed whole."""
        if not self.training or self.p == 0:
            return x
        shape = (len(x),) + (1,) * (x.dim() - 1) if self.by_sample else x.shape
        mask = torch.empty(shape, dtype=x.dtype, device=x.device)
        mask.bernoulli_(1 - self.p, generator=self.chance.generator(x.device))
        return x * mask.div_(1 - self.p)


def with_own_chance(module: nn.Module, chance: Chance) -> nn.Module:
    """Put our dropout wherever a network of torchvision has its own; return the network."""
    kind = type(module).__name__
    if isinstance(module, nn.Dropout):
        return Dropout(module.p, chance)
    if kind == "StochasticDepth":
        return Dropout(module.p, chance, by_sample=module.mode == "row")  # type: ignore[arg-type]
    for name, child in module.named_children():
        setattr(module, name, with_own_chance(child, chance))
    return module
