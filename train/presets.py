"""Settings by name: what each data set is trained with, and the paper's protocols.

The paper's protocol (arXiv 2402.03979, as far as it is known): SGD with momentum 0.9, learning
rate 0.05, times 0.1 after epochs 150 and 350 of 800, weight decay 5e-4 on all parameters, batches
of 128, the last partial one dropped; torchvision's ResNet with a 3 x 3 stem and no max-pooling;
no augmentation; label smoothing 0.05; measured at epochs 5, 10, 20 ... 800. Which network goes
with which data set is our reading: ResNet-18 for ten classes, ResNet-50 for a hundred.
"""

from __future__ import annotations

from typing import Any

from nccli.errors import UsageError
from train.config import DEFAULT_EPOCHS, Settings
from train.epochs import parse_save_epochs
from train.words import check_choice

_PROTOCOL: dict[str, Any] = {
    "model": "resnet18",
    "batch_size": 128,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "milestones": "150/800,350/800",
    "gamma": 0.1,
    "augment": "none",
    "dtype": "float16",
}
_PAPER = _PROTOCOL | {"epochs": 800, "save_epochs": "paper"}
_SHAPES: dict[str, Any] = _PROTOCOL | {
    "model": "resnet",
    "epochs": 60,
    "milestones": "0.5,0.75",
    "dtype": "float32",
}
_IMAGENET: dict[str, Any] = _PROTOCOL | {  # torchvision's reference recipe of 90 epochs
    "model": "torchvision:resnet50",
    "epochs": 90,
    "batch_size": 256,
    "learning_rate": 0.1,
    "weight_decay": 1e-4,
    "milestones": "30/90,60/90",
    "augment": "flip-crop",
    "save_logits": False,
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper-cifar10": {"data": "cifar10"} | _PAPER,
    "paper-cifar100": {"data": "cifar100"} | _PAPER | {"model": "resnet50"},
    "paper-stl10": {"data": "stl10"} | _PAPER,
}


def defaults(data: str) -> dict[str, Any]:
    """Return what a data set is trained with where nothing is given, beside `Settings`' own."""
    if data in ("digits", "ufm"):
        return {}
    return {"shapes": _SHAPES, "imagenet": _IMAGENET}.get(data, _PROTOCOL)


def make_settings(*, preset: str | None = None, on_gpu: bool = False, **given: Any) -> Settings:
    """Return the settings of a run: what is given, over the preset, over the data set's defaults.

    `save_epochs` and `milestones` may be words, `precision` may be auto: bfloat16 on a GPU, but
    for the digits, whose networks are too small to gain from it. Raises UsageError.
    """
    chosen: dict[str, Any] = {}
    if preset is not None:
        check_choice("preset", preset, tuple(PRESETS))
        chosen = PRESETS[preset]
    data = given.get("data") or chosen.get("data", "digits")
    merged = defaults(data) | chosen | given
    epochs = merged.get("epochs", DEFAULT_EPOCHS)
    if isinstance(saved := merged.get("save_epochs"), str):
        merged["save_epochs"] = parse_save_epochs(saved, epochs=epochs)
    if isinstance(milestones := merged.get("milestones"), str):
        merged["milestones"] = parse_milestones(milestones, epochs=epochs)
    if merged.get("precision") == "auto":
        small = data in ("digits", "ufm")
        merged["precision"] = "bfloat16" if on_gpu and not small else "float32"
    return Settings(**merged)


def parse_milestones(text: str, *, epochs: int) -> tuple[float, ...]:
    """Return the milestones as fractions of the epochs; raises UsageError.

    The words: fractions (`0.5,0.75` or `150/800`), whole epochs (`150,350`), or `none`.
    """
    if text.strip() == "none":
        return ()
    try:
        found = [_fraction(word) for word in text.split(",")]
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"cannot read the milestones '{text}'",
            remedy="write shares of the epochs, 0.5,0.75, or epochs, 150,350, or none",
        ) from None
    if all(value >= 1 for value in found):
        if max(found) >= epochs:
            raise UsageError(
                f"the milestones {text} must lie within the {epochs} epochs",
                remedy="0.5,0.75 is at half and at three quarters, whatever the epochs",
            )
        return tuple(value / epochs for value in found)
    return tuple(found)


def _fraction(word: str) -> float:
    part, _, whole = word.partition("/")
    return float(part) / float(whole or 1)
