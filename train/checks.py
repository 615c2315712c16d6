"""What of a run's settings cannot be trained, each with its cause and remedy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nccli.errors import UsageError
from nccli.ufm import Problem
from train.catalogue import DATA_SETS, data_facts, network_facts
from train.words import check_choice

if TYPE_CHECKING:
    from train.config import Settings

LOSSES = ("cross-entropy", "label-smoothing", "focal", "mse")
UFM_LOSSES = LOSSES[:2]  # those with a closed form
DTYPES = ("float16", "float32", "float64")
PRECISIONS = ("float32", "bfloat16")
NORMS = ("batch", "group")
AUGMENTATIONS = ("none", "crop", "flip-crop")


def check(settings: Settings) -> None:
    """Raise UsageError on settings that cannot be trained."""
    check_choice("data", settings.data, (*DATA_SETS, "ufm"))
    _check_common(settings)
    if settings.data == "ufm":
        problem_of(settings)
    else:
        _check_images(settings)


def _require(fulfilled: bool, problem: str, remedy: str | None = None) -> None:
    if not fulfilled:
        raise UsageError(problem, remedy=remedy)


def _check_common(settings: Settings) -> None:
    check_choice("loss", settings.loss, UFM_LOSSES if settings.data == "ufm" else LOSSES)
    check_choice("dtype", settings.dtype, ("auto", *DTYPES))
    delta = settings.label_smoothing
    _require(
        0 <= delta < 1,
        f"label smoothing must lie in [0, 1), got {delta}",
        "0.05 is the paper's choice",
    )
    _require(
        delta == 0 or settings.loss == "label-smoothing",
        f"{settings.loss} has no label smoothing, got {delta}",
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


def _check_images(settings: Settings) -> None:
    for noun, choices in (("norm", NORMS), ("augment", AUGMENTATIONS), ("precision", PRECISIONS)):
        check_choice(noun, getattr(settings, noun), choices)
    _check_classes(settings)
    _check_network(settings)
    _check_counts(settings)
    _require(
        settings.learning_rate > 0 and math.isfinite(settings.learning_rate),
        f"the learning rate must be positive, got {settings.learning_rate}",
    )
    for name in ("weight_decay", "feature_decay", "pixel_noise", "focal_gamma"):
        value = getattr(settings, name)
        words = name.replace("_", " ")
        _require(0 <= value < math.inf, f"{words} must not be negative, got {value}")
    _require(0 < settings.gamma <= 1, f"gamma must lie in (0, 1], got {settings.gamma}")
    _require(
        0 <= settings.dropout < 1, f"dropout must lie in [0, 1), got {settings.dropout}", "0.1"
    )
    _check_milestones(settings.milestones)


def _check_classes(settings: Settings) -> None:
    facts, asked = data_facts(settings.data), settings.num_classes
    if facts.most_classes:
        _require(
            2 <= asked <= facts.most_classes,
            f"{settings.data} has 2 to {facts.most_classes} classes, got {asked}",
        )
    else:
        _require(
            asked == facts.num_classes or not facts.num_classes,
            f"{settings.data} has {facts.num_classes:,} classes, got {asked:,}",
            "leave the number of classes out",
        )


def _check_network(settings: Settings) -> None:
    facts = network_facts(settings.model)
    check_choice(f"norm of {settings.model}", settings.norm, facts.norms)
    for name in ("width", "depth"):
        value = getattr(settings, name)
        if getattr(facts, name):
            _require(value >= 1, f"{name} must be at least 1, got {value}")
        else:
            _require(
                value == 0, f"{settings.model} has its own {name}, got {value}", "leave it out"
            )
    _require(
        settings.depth == facts.depth == 0
        or (settings.depth >= facts.shallowest and settings.depth % facts.layers_a_block == 0),
        f"a {settings.model} has {facts.shallowest}, {facts.shallowest + facts.layers_a_block} ... "
        f"layers, got a depth of {settings.depth}",
        "its blocks have two convolutions each, one block a stage at least",
    )
    if facts.divisor > 1:
        _require(
            settings.width % facts.divisor == 0,
            f"the width of a {settings.model} must be divisible by {facts.divisor}, "
            f"got {settings.width}",
            facts.reason,
        )


def _check_counts(settings: Settings) -> None:
    facts = data_facts(settings.data)
    most = facts.train_count or math.inf
    if settings.train_count:
        _require(
            2 * settings.num_classes <= settings.train_count <= most,
            f"the training images must be 2 of each class at least and {most:,} at most, "
            f"got {settings.train_count:,}",
        )
        most = settings.train_count
    _require(
        2 <= settings.batch_size <= most,
        f"the batch size must lie in 2..{most:,} (the training images), "
        f"got {settings.batch_size:,}",
        "125 makes 8 batches an epoch" if settings.data == "digits" else "128 is the paper's",
    )


def _check_milestones(milestones: tuple[float, ...]) -> None:
    inside = all(0 < fraction < 1 for fraction in milestones)
    _require(
        inside and list(milestones) == sorted(set(milestones)),
        f"milestones must be rising fractions of the epochs between 0 and 1, got {milestones}",
        "0.5,0.75 lowers the learning rate at half and at three quarters",
    )


def problem_of(settings: Settings) -> Problem:
    """Return the closed-form problem that a run of the ufm trains; raises UsageError."""
    return Problem(
        num_classes=settings.num_classes,
        per_class=settings.per_class,
        dim=settings.dim,
        lambda_w=settings.lambda_w,
        lambda_h=settings.lambda_h,
        label_smoothing=settings.label_smoothing,
    )
