"""What the user's function gives: a model, a loss, data, and which layer is the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from nccli.errors import ContentError, FormatError, NotFoundError

FORMS = "return (model, loss_function, data), a dict of these names, or nccli.network.Problem"
NAMES = ("model", "loss_function", "data", "last_layer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The mean loss of a model over data, whose curvature is asked for."""

    model: nn.Module
    loss_function: nn.Module  # with reduction="mean"
    data: Iterable[tuple[Tensor, Tensor]]  # batches (X, y), the same at each pass
    last_layer: str | None = None  # a name of model.named_modules(); None: the last nn.Linear


def as_problem(answer: Any) -> Problem:
    """Return what a user's function returned as a Problem; raises FormatError on anything else."""
    if isinstance(answer, Problem):
        return answer
    if isinstance(answer, Mapping):
        unknown = [str(name) for name in answer if name not in NAMES]
        missing = [name for name in NAMES[:3] if name not in answer]
        if unknown or missing:
            what = f"has no '{missing[0]}'" if missing else f"has an unknown name '{unknown[0]}'"
            raise FormatError(f"the dict it returned {what}", remedy=FORMS)
        return Problem(**answer)
    if isinstance(answer, tuple) and len(answer) in (3, 4):
        return Problem(**dict(zip(NAMES, answer, strict=False)))
    size = f" of {len(answer)}" if isinstance(answer, (tuple, list)) else ""
    raise FormatError(f"it returned a {type(answer).__name__}{size}", remedy=FORMS)


def check_parts(problem: Problem) -> None:
    """Raise FormatError or ContentError where the model, loss or data are of no use here."""
    if not isinstance(problem.model, nn.Module):
        raise FormatError(f"the model must be a torch.nn.Module, {_got(problem.model)}")
    check_loss(problem.loss_function)
    if isinstance(problem.data, Tensor) or not isinstance(problem.data, Iterable):
        raise FormatError(
            f"the data must be an iterable of batches (X, y), {_got(problem.data)}",
            remedy="give a DataLoader or [(X, y)]",
        )
    if problem.last_layer is not None and not isinstance(problem.last_layer, str):
        raise FormatError(f"last_layer must be the name of a module, {_got(problem.last_layer)}")


def check_loss(loss_function: Any) -> None:
    """Raise where a loss is not a plain mean over samples, which batches can be weighed by."""
    if not isinstance(loss_function, nn.Module):
        raise FormatError(
            f"the loss must be a torch.nn.Module, {_got(loss_function)}",
            remedy="for instance torch.nn.CrossEntropyLoss(label_smoothing=0.1)",
        )
    reduction = getattr(loss_function, "reduction", None)
    if reduction != "mean":
        raise ContentError(
            f"the loss must have reduction='mean', got {reduction!r}",
            remedy="so that batches of any size weigh by their samples",
        )
    if getattr(loss_function, "weight", None) is not None:
        raise ContentError(
            "a loss with class weights is no plain mean over the samples", remedy="leave weight out"
        )


def last_layer_of(model: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    """Return the name and module of the last layer: the one named, or the last nn.Linear.

    Raises NotFoundError where there is no such module, ContentError where it has no parameters.
    """
    linear = [found for found, module in model.named_modules() if isinstance(module, nn.Linear)]
    if name is None:
        if not linear:
            raise NotFoundError(
                "the model has no nn.Linear layer", remedy="name its last layer: last_layer='head'"
            )
        name = linear[-1]
    modules = dict(model.named_modules())
    if name not in modules:
        raise NotFoundError(
            f"the model has no module '{name}'",
            remedy=f"its Linear layers: {', '.join(linear) or 'none'}",
        )
    if not any(True for _ in modules[name].parameters()):
        raise ContentError(f"the last layer '{name}' has no parameters")
    return name, modules[name]


def _got(value: object) -> str:
    return f"got a {type(value).__name__}"
