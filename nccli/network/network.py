"""A problem made ready: eval mode, parameters in order, the last layer's among them, one survey."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from nccli.errors import ContentError
from nccli.network.batches import Batches, Survey, survey
from nccli.network.problem import Problem, check_parts, last_layer_of
from nccli.text import shortlist

TYPES = (torch.float32, torch.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the curvature is taken of."""

    model: nn.Module
    loss_function: nn.Module
    batches: Batches
    parameters: tuple[nn.Parameter, ...]  # those with a gradient, in the order of the model
    last_layer: str
    last_parameters: tuple[nn.Parameter, ...]
    survey: Survey
    notes: tuple[str, ...]

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self.parameters[0].dtype

    @property
    def in_last_layer(self) -> tuple[tuple[int, bool], ...]:
        """Size of each parameter, and whether it is the last layer's, in order."""
        last = {id(one) for one in self.last_parameters}
        return tuple((one.numel(), id(one) in last) for one in self.parameters)


def prepare(problem: Problem, *, double: bool) -> Network:
    """Check a problem and put its model in eval mode; `double` works on a float64 copy of it.

    Raises NotFoundError, FormatError, ContentError or InputError with what is wrong.
    """
    check_parts(problem)
    _check_filled(problem.model)
    if double:
        problem = replace(problem, model=copy.deepcopy(problem.model).double())
        problem = replace(problem, loss_function=copy.deepcopy(problem.loss_function).double())
    name, layer = last_layer_of(problem.model, problem.last_layer)
    parameters = tuple(one for one in problem.model.parameters() if one.requires_grad)
    last = tuple(one for one in layer.parameters() if one.requires_grad)
    if not parameters:
        raise ContentError(
            "no parameter of the model has a gradient", remedy="set requires_grad_(True) on them"
        )
    if not last:
        raise ContentError(
            f"the last layer '{name}' is frozen: none of its parameters has a gradient",
            remedy="set requires_grad_(True) on them, or name another: last_layer='...'",
        )
    _check_one_kind(parameters)
    notes = [*_eval_note(problem.model), *_frozen_note(problem.model)]
    problem.model.eval()
    batches = Batches(problem.data, dtype=parameters[0].dtype, device=parameters[0].device)
    return Network(
        model=problem.model,
        loss_function=problem.loss_function,
        batches=batches,
        parameters=parameters,
        last_layer=name,
        last_parameters=last,
        survey=survey(problem.model, problem.loss_function, batches),
        notes=tuple(notes),
    )


def _check_filled(model: nn.Module) -> None:
    empty = [name for name, one in model.named_parameters() if is_lazy(one)]
    if empty:
        raise ContentError(
            f"the lazy parameters {shortlist(empty)} have no size yet",
            remedy="call the model once on a batch, or load its weights",
        )


def _check_one_kind(parameters: tuple[nn.Parameter, ...]) -> None:
    types = {one.dtype for one in parameters}
    if len(types) > 1 or not types <= set(TYPES):
        names = shortlist(sorted(str(one).removeprefix("torch.") for one in types))
        raise ContentError(
            f"the parameters must be all float32 or all float64, they are {names}",
            remedy="--double makes them float64",
        )
    devices = {str(one.device) for one in parameters}
    if len(devices) > 1:
        raise ContentError(
            f"the parameters lie on several devices: {shortlist(sorted(devices))}",
            remedy="move the model to one",
        )


def _eval_note(model: nn.Module) -> list[str]:
    training = any(module.training for module in model.modules())
    return ["the model was in training mode; it was put in eval mode"] if training else []


def _frozen_note(model: nn.Module) -> list[str]:
    sizes = [(one.numel(), one.requires_grad) for one in model.parameters()]
    frozen = sum(size for size, has_gradient in sizes if not has_gradient)
    total = sum(size for size, _ in sizes)
    return [f"{frozen:,} of {total:,} parameters are frozen and left out"] if frozen else []
