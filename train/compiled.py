"""The step's kernels fused by torch.compile, for whoever trains long enough to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, cast

import torch
from torch import nn

from nccli.errors import TrainingError
from train.networks.chance import Dropout


def compiled_apart(method: Callable[..., Any], network: nn.Module) -> Callable[..., Any]:
    """Return a method compiled by torch.compile, apart from that of every other object.

    What is compiled belongs to a method's code, which all objects share, and after the eighth
    object torch.compile would give up and let every step run as it is written. Hence a copy.

    Dropout of the network runs as it is written: its random numbers are the run's own, which
    torch.compile does not know. What is returned raises TrainingError where it cannot be
    compiled, as without a C compiler.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second, for those who compile

    for module in network.modules():
        if isinstance(module, Dropout):
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign, no-untyped-call]
    own, plain = cast(MethodType, method).__self__, cast(MethodType, method).__func__
    code = plain.__code__.replace()
    copy = FunctionType(code, plain.__globals__, plain.__name__, closure=plain.__closure__)
    compiled = torch.compile(MethodType(copy, own))

    def called(*given: Any) -> Any:
        try:
            return compiled(*given)
        except TorchDynamoException as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TrainingError(
                f"torch.compile cannot compile this network's step ({reason})",
                remedy="leave out --compile",
            ) from None

    return called
