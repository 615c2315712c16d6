"""Somebody's network: made by name, its weights loaded without running anything from a file."""

from __future__ import annotations

import importlib
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nccli.errors import FormatError, MissingExtraError, UsageError, locate_errors
from nccli.hdf5.plain_file import check_plain_file
from nccli.importing.safetensors_file import read_safetensors
from nccli.text import shortlist

NESTED = ("state_dict", "model_state_dict", "model_state", "model", "net", "module")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")  # DataParallel, compile, Lightning

State = dict[str, Tensor]


def load_model(spec: str, weights: Path | None, *, num_classes: int) -> nn.Module:
    """Return a network in eval mode.

    spec: torchvision:NAME, timm:NAME or module:function. weights: .safetensors, or .pt that holds
    tensors only; None: as the function made it (a named architecture then has random weights).
    num_classes: of named architectures where the weights do not tell.

    Raises UsageError on an unknown name, MissingExtraError, InputError on weights that do not fit.
    """
    state = None if weights is None else load_state(weights)
    if state is not None:
        num_classes = _classes_of(state) or num_classes
    model = _made(spec, num_classes)
    if state is not None and weights is not None:
        with locate_errors(weights):
            _take(model, state)
    return model.eval()


def load_state(path: Path) -> State:
    """Return a state dict by its parameters' names. Raises InputError naming the file."""
    with locate_errors(path):
        check_plain_file(path)
        if path.suffix == ".safetensors":
            entries = read_safetensors(path)
            return {name: torch.from_numpy(np.array(one.load())) for name, one in entries.items()}
        return _unnested(_tensors_only(path))


def _tensors_only(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols, to its developers
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise FormatError(
            "holds more than tensors, and such a pickle is never loaded",
            remedy="where you trust it, save torch.save(model.state_dict(), 'weights.pt') from it",
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise FormatError(
            f"cannot be read as PyTorch weights ({str(error).splitlines()[0][:100]})",
            remedy="give .safetensors, or .pt of a state dict",
        ) from None


def _unnested(found: Any) -> State:
    while isinstance(found, Mapping):
        inner = next((found[name] for name in NESTED if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    state = {name: one for name, one in found.items() if isinstance(one, Tensor)} if isinstance(
        found, Mapping
    ) else {}  # fmt: skip
    if not state:
        raise FormatError("holds no state dict", remedy="save model.state_dict()")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): one for name, one in state.items()}
    return state


def _classes_of(state: State) -> int:
    """K, by the last matrix of the weights; 0 where there is none."""
    matrices = [one for one in state.values() if one.ndim == 2]
    return int(matrices[-1].shape[0]) if matrices else 0


def _made(spec: str, num_classes: int) -> nn.Module:
    place, colon, name = spec.partition(":")
    if not colon or not name:
        raise UsageError(
            f"--model must be torchvision:NAME, timm:NAME or module:function, got '{spec}'",
            remedy="torchvision:resnet18",
        )
    if place == "torchvision":
        from torchvision import models

        return _called(spec, models.get_model, name, weights=None, num_classes=num_classes)
    if place == "timm":
        try:
            import timm
        except ImportError:
            raise MissingExtraError(
                "timm is not installed", remedy="pip install 'nccli[timm]'"
            ) from None
        return _called(spec, timm.create_model, name, pretrained=False, num_classes=num_classes)
    try:
        function = getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--model {spec}: {error}", remedy="module:function, importable") from None
    return _called(spec, function)


def _called(spec: str, function: Callable[..., Any], *words: Any, **options: Any) -> nn.Module:
    try:
        model = function(*words, **options)
    except Exception as error:  # somebody else's code
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--model {spec} cannot be made ({reason})") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"--model {spec} gave {type(model).__name__}, not a torch.nn.Module")
    return model


def _take(model: nn.Module, state: State) -> None:
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes
        lines = [line.strip() for line in str(error).splitlines()]
        raise FormatError(
            f"the weights are of another network ({lines[-1][:160]})", remedy="choose its --model"
        ) from None
    if missing or unexpected:
        names = [f"lacks {name}" for name in missing] + [f"has {name}" for name in unexpected]
        raise FormatError(
            f"the weights are of another network: {shortlist(names, limit=3)}",
            remedy="choose its --model",
        )
