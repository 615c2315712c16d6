"""Everything that defines one run, checked once, and the words that name epochs and choices."""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nccli.errors import UsageError
from nccli.ufm import Problem
from train.digits import PIXEL_NOISE, TRAIN_COUNT

DATA = ("digits", "ufm")
LOSSES = ("cross-entropy", "label-smoothing")
MODELS = ("mlp", "resnet")
DTYPES = ("float16", "float32", "float64")
AUTO = "auto"
DEVICES = (AUTO, "cpu", "cuda")

LOG_EPOCHS = 12  # saved epochs by default: enough for a smooth curve over log(epoch)

_DIGITS_ONLY = (
    *("pixel_noise", "model", "width", "depth", "batch_size"),
    *("learning_rate", "weight_decay", "milestones", "gamma"),
)
_UFM_ONLY = ("num_classes", "per_class", "dim", "lambda_w", "lambda_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run. Raises UsageError with cause and remedy on what cannot be trained.

    The defaults for the digits are the laptop experiment: 100 % of the noisy training images
    right after 200 epochs, in a few CPU seconds; found by trial, not taken from the paper.
    """

    data: str = "digits"
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0  # delta of the paper, in [0, 1); 0 for cross-entropy
    seed: int = 0
    epochs: int = 200
    save_epochs: tuple[int, ...] = ()  # () becomes about 12 log-spaced ones and the last
    dtype: str = AUTO  # of the saved arrays: float32, for the UFM float64
    save_logits: bool = True
    momentum: float = 0.9

    pixel_noise: float = PIXEL_NOISE
    model: str = "mlp"
    width: int = 128  # d, the number of penultimate features
    depth: int = 6
    batch_size: int = 125  # a last partial batch is dropped, as in the paper
    learning_rate: float = 0.1
    weight_decay: float = 2e-3  # on all parameters
    milestones: tuple[float, ...] = (0.5, 0.75)  # as fractions of the epochs
    gamma: float = 0.1  # the learning rate is multiplied by it at each milestone

    num_classes: int = 4
    per_class: int = 25
    dim: int = 16
    lambda_w: float = 5e-3  # penalty lambda_w / 2 ||W||^2
    lambda_h: float = 5e-3  # penalty lambda_h / 2 ||H||^2, H all features together

    def __post_init__(self) -> None:
        _check_common(self)
        if self.data == "digits":
            _check_digits(self)
        else:
            _check_ufm(self)
        if self.dtype == AUTO:
            object.__setattr__(self, "dtype", "float64" if self.data == "ufm" else "float32")
        saved = self.save_epochs or log_epochs(self.epochs, count=LOG_EPOCHS)
        object.__setattr__(self, "save_epochs", tuple(sorted(set(saved))))

    @property
    def name(self) -> str:
        """The run directory's name: `digits-mlp-ce-s0`, `ufm-ls0.05-s1`."""
        smoothing = f"ls{self.label_smoothing:g}" if self.loss == "label-smoothing" else "ce"
        model = [self.model] if self.data == "digits" else []
        return "-".join([self.data, *model, smoothing, f"s{self.seed}"])

    @property
    def architecture(self) -> str:
        """The network in a word: `mlp-6x128`, `ufm`."""
        return "ufm" if self.data == "ufm" else f"{self.model}-{self.depth}x{self.width}"

    def recorded(self) -> dict[str, Any]:
        """Return the settings that matter to this kind of run, as run.json keeps them."""
        foreign = _UFM_ONLY if self.data == "digits" else _DIGITS_ONLY
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in foreign
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def check_choice(noun: str, word: str, choices: tuple[str, ...]) -> None:
    """Raise UsageError listing the choices, and the nearest one, unless `word` is among them."""
    if word in choices:
        return
    near = difflib.get_close_matches(word, choices, n=1)
    guess = f"did you mean '{near[0]}'? " if near else ""
    listed = ", ".join(choices)
    raise UsageError(f"unknown {noun} '{word}'", remedy=f"{guess}choose one of: {listed}")


def _require(fulfilled: bool, problem: str, remedy: str | None = None) -> None:
    if not fulfilled:
        raise UsageError(problem, remedy=remedy)


def _check_common(settings: Settings) -> None:
    check_choice("data", settings.data, DATA)
    check_choice("loss", settings.loss, LOSSES)
    check_choice("dtype", settings.dtype, (AUTO, *DTYPES))
    delta = settings.label_smoothing
    _require(
        0 <= delta < 1,
        f"label smoothing must lie in [0, 1), got {delta}",
        "0.05 is the paper's choice",
    )
    _require(
        delta == 0 or settings.loss == "label-smoothing",
        f"cross-entropy has no label smoothing, got {delta}",
        "choose the loss label-smoothing, or a smoothing of 0",
    )
    _require(settings.seed >= 0, f"the seed must not be negative, got {settings.seed}")
    _require(settings.epochs >= 1, f"there must be at least 1 epoch, got {settings.epochs}")
    _require(
        0 <= settings.momentum < 1,
        f"momentum must lie in [0, 1), got {settings.momentum}",
        "0.9 is usual",
    )
    outside = [epoch for epoch in settings.save_epochs if not 1 <= epoch <= settings.epochs]
    _require(
        not outside,
        f"cannot save epoch {outside[0] if outside else ''}: the run has epochs 1 to "
        f"{settings.epochs}",
        "leave it out, or train for longer",
    )


def _check_digits(settings: Settings) -> None:
    check_choice("model", settings.model, MODELS)
    for name in ("width", "depth"):
        value = getattr(settings, name)
        _require(value >= 1, f"{name} must be at least 1, got {value}")
    if settings.model == "resnet":
        _require(
            settings.width % 4 == 0,
            f"the width of a resnet must be divisible by 4, got {settings.width}",
            "its three stages have width/4, width/2 and width channels",
        )
    _require(
        2 <= settings.batch_size <= TRAIN_COUNT,
        f"the batch size must lie in 2..{TRAIN_COUNT:,} (the training images), "
        f"got {settings.batch_size:,}",
        "125 makes 8 batches an epoch",
    )
    _require(
        settings.learning_rate > 0 and math.isfinite(settings.learning_rate),
        f"the learning rate must be positive, got {settings.learning_rate}",
    )
    for name in ("weight_decay", "pixel_noise"):
        value = getattr(settings, name)
        words = name.replace("_", " ")
        _require(0 <= value < math.inf, f"{words} must not be negative, got {value}")
    _require(0 < settings.gamma <= 1, f"gamma must lie in (0, 1], got {settings.gamma}")
    _check_milestones(settings.milestones)


def _check_milestones(milestones: tuple[float, ...]) -> None:
    inside = all(0 < fraction < 1 for fraction in milestones)
    _require(
        inside and list(milestones) == sorted(set(milestones)),
        f"milestones must be rising fractions of the epochs between 0 and 1, got {milestones}",
        "0.5,0.75 lowers the learning rate at half and at three quarters",
    )


def _check_ufm(settings: Settings) -> None:
    Problem(
        num_classes=settings.num_classes,
        per_class=settings.per_class,
        dim=settings.dim,
        lambda_w=settings.lambda_w,
        lambda_h=settings.lambda_h,
        label_smoothing=settings.label_smoothing,
    )


# --- which epochs are saved ---------------------------------------------------------------------


def parse_save_epochs(text: str, *, epochs: int) -> tuple[int, ...]:
    """Return the epochs that a word names, ascending; raises UsageError.

    `log` (about 12, evenly spaced in the logarithm, and the last), `log:20`, `every:10` (and the
    last), or a list: `1,5,10`.
    """
    kind, _, number = text.strip().partition(":")
    try:
        if kind == "log":
            return log_epochs(epochs, count=_positive(number) if number else LOG_EPOCHS)
        if kind == "every":
            step = _positive(number)
            return tuple(sorted({*range(step, epochs + 1, step), epochs}))
        return tuple(sorted({_positive(word) for word in text.split(",")}))
    except ValueError:
        raise UsageError(
            f"cannot read the epochs to save '{text}'",
            remedy="write log, log:20, every:10 or a list like 1,5,10",
        ) from None


def log_epochs(epochs: int, *, count: int) -> tuple[int, ...]:
    """Return about `count` epochs from 1 to the last, evenly spaced in their logarithm."""
    spaced = np.geomspace(1, epochs, num=max(count, 1))
    return tuple(sorted({round(float(epoch)) for epoch in spaced} | {epochs}))


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise ValueError(word)
    return value
