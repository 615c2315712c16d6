"""The step's kernels fused by torch.compile, for whoever trains long enough to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, cast

import torch

from nccli.errors import TrainingError


def compiled_apart(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method compiled by torch.compile, apart from that of every other object.

    What is compiled belongs to a method's code, which all objects share, and after the eighth
    object torch.compile would give up and let every step run as it is written. Hence a copy.

    What is returned raises TrainingError where it cannot be compiled, as without a C compiler, and
    with dropout, whose random numbers are the run's own.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second, for those who compile

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
