"""The Hessian of curvlinops with its gradient taken in another way, which torch gets right."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from curvlinops import HessianLinearOperator
from curvlinops.utils import make_functional_model_and_loss
from torch import Tensor
from torch.func import grad, jvp, vmap


class Hessian(HessianLinearOperator):  # type: ignore[misc]  # curvlinops has no types
    """Products H v = d/dt gradient(parameters + t v) at t = 0, many v side by side.

    curvlinops 3.0.1 takes the gradient by `jacrev`, a vmapped backward pass. torch 2.15
    differentiates that of LayerNorm wrongly (the row of its weight, by a third and more, without a
    word), and those of GroupNorm and SiLU not at all. By `grad` all of them are right.
    """

    @cached_property
    def _mp(self) -> Callable[..., tuple[Tensor, ...]]:
        parameters = tuple(self._params)
        outputs, loss = make_functional_model_and_loss(
            self._model_func, self._loss_func, parameters
        )

        @torch.no_grad()
        def product(inputs: Tensor, targets: Tensor, *vectors: Tensor) -> tuple[Tensor, ...]:
            def mean_loss(*at: Tensor) -> Tensor:
                return loss(outputs(*at, inputs), targets)  # type: ignore[no-any-return]

            gradient = grad(mean_loss, argnums=tuple(range(len(parameters))))
            return jvp(gradient, parameters, vectors)[1]  # type: ignore[no-any-return]

        last_axes = tuple(one.ndim for one in parameters)
        return vmap(
            product, in_dims=(None, None, *last_axes), out_dims=last_axes, randomness="same"
        )
