"""Everything that defines one run, checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nccli.errors import UsageError
from train.catalogue import DATA_SETS, network_facts
from train.checks import check
from train.digits import PIXEL_NOISE
from train.epochs import LOG_EPOCHS, log_epochs

AUTO = "auto"
UFM_CLASSES = 4
DEFAULT_EPOCHS = 200

_IMAGES_ONLY = (
    *("train_count", "augment", "pixel_noise", "model", "width", "depth", "norm", "dropout"),
    *("batch_size", "learning_rate", "weight_decay", "feature_decay", "milestones", "gamma"),
    "precision",
)
_UFM_ONLY = ("per_class", "dim", "lambda_w", "lambda_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run. Raises UsageError with cause and remedy on what cannot be trained.

    The defaults for the digits are the laptop experiment: 100 % of the noisy training images
    right after 200 epochs, in a few CPU seconds; found by trial, not taken from the paper. Those
    of the other data sets stand in `train.presets`.
    """

    data: str = "digits"
    num_classes: int = 0  # K; 0: all of the data set, 10 of shapes, 4 of the UFM
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0  # delta of the paper, in [0, 1); 0 for all other losses
    focal_gamma: float = 2.0  # (1 - p_y)^gamma weighs a sample (Lin et al. 2017, equation 4)
    seed: int = 0
    epochs: int = DEFAULT_EPOCHS
    save_epochs: tuple[int, ...] = ()  # () becomes about 12 log-spaced ones and the last
    dtype: str = AUTO  # of the saved arrays: float32, for the UFM float64
    save_logits: bool = True
    momentum: float = 0.9

    train_count: int = 0  # training images, as many of each class as can be; 0: all
    augment: str = "none"
    pixel_noise: float = PIXEL_NOISE
    model: str = "mlp"
    width: int = 0  # d, the number of penultimate features; 0: the model's own
    depth: int = 0  # 0: the model's own
    norm: str = "batch"
    dropout: float = 0.0
    batch_size: int = 125  # a last partial batch is dropped, as in the paper
    learning_rate: float = 0.1
    weight_decay: float = 2e-3  # on all parameters
    feature_decay: float = 0.0  # lambda_H: the objective has lambda_H / 2 ||H||^2 too
    milestones: tuple[float, ...] = (0.5, 0.75)  # as fractions of the epochs
    gamma: float = 0.1  # the learning rate is multiplied by it at each milestone
    precision: str = "float32"  # of the arithmetic of training; evaluation is float32 always

    per_class: int = 25
    dim: int = 16
    lambda_w: float = 5e-3  # penalty lambda_w / 2 ||W||^2
    lambda_h: float = 5e-3  # penalty lambda_h / 2 ||H||^2, H all features together

    def __post_init__(self) -> None:
        if self.data == "ufm":
            self._resolve("num_classes", UFM_CLASSES)
        elif self.data in DATA_SETS:
            self._resolve("num_classes", DATA_SETS[self.data].num_classes)
            network = network_facts(self.model)
            self._resolve("width", network.width)
            self._resolve("depth", network.depth)
        check(self)
        if self.dtype == AUTO:
            object.__setattr__(self, "dtype", "float64" if self.data == "ufm" else "float32")
        saved = self.save_epochs or log_epochs(self.epochs, count=LOG_EPOCHS)
        object.__setattr__(self, "save_epochs", tuple(sorted(set(saved))))

    def _resolve(self, name: str, value: int) -> None:
        object.__setattr__(self, name, getattr(self, name) or value)

    @property
    def name(self) -> str:
        """The run directory's name: `digits-mlp-ce-s0`, `ufm-ls0.05-s1`."""
        model = [] if self.data == "ufm" else [self.model.replace(":", "-")]
        return "-".join([self.data, *model, self.loss_word, f"s{self.seed}"])

    @property
    def loss_word(self) -> str:
        """The loss in a word: `ce`, `ls0.05`, `focal2`, `mse`."""
        return {
            "cross-entropy": "ce",
            "label-smoothing": f"ls{self.label_smoothing:g}",
            "focal": f"focal{self.focal_gamma:g}",
        }.get(self.loss, self.loss)

    @property
    def architecture(self) -> str:
        """The network in a word: `mlp-6x128`, `resnet18`, `ufm`."""
        if self.data == "ufm":
            return "ufm"
        sized = f"{self.model}-{self.depth}x{self.width}" if self.width else self.model
        return sized if self.norm == "batch" else f"{sized}-{self.norm}norm"

    def recorded(self) -> dict[str, Any]:
        """Return the settings that matter to this kind of run, as run.json keeps them."""
        foreign = {*(_IMAGES_ONLY if self.data == "ufm" else _UFM_ONLY)}
        foreign |= {"focal_gamma"} if self.loss != "focal" else set()
        foreign |= {"pixel_noise"} if self.data != "digits" else set()
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in foreign
        }


def completed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return recorded settings with those that did not exist yet when they were recorded."""
    known = {field.name for field in dataclasses.fields(Settings)}
    given = {name: _tupled(value) for name, value in recorded.items() if name in known}
    try:
        return {**Settings(**given).recorded(), **recorded}
    except (UsageError, TypeError):  # not ours: compared as it is
        return dict(recorded)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
