"""Torch's plain kernels in place of the fused ones, which have no forward-mode derivative."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_kernels(model: nn.Module) -> Iterator[None]:
    """Attention by its formula; recurrent layers without oneDNN and cuDNN (a slower network)."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    backends: list[Any] = [torch.backends.mkldnn, torch.backends.cudnn] if recurrent else []
    before = [backend.enabled for backend in backends]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for backend in backends:  # not their flags(): these set more, and warn of it
            backend.enabled = False
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for backend, enabled in zip(backends, before, strict=True):
            backend.enabled = enabled
