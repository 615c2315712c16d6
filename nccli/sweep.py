"""The closed form over a range: `delta=0:0.5:11`, `lambda-h=1e-8:1e-2:13:log`, `K=2,10,100`.

Words of a sweep become axes, axes their product of problems (the first varies slowest), and each
problem one `SweepPoint`. Nothing is computed before every point is known to be sound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product

from nccli.errors import UsageError
from nccli.result import quantities, same_as
from nccli.ufm import Problem, UFMReport, analyze

MOST_POINTS = 100_000  # our own limit: half a minute's work, more rows than anybody reads
VARIABLES = {  # the word of a sweep: the fields of a problem that it sets
    "delta": ("label_smoothing",),
    "lambda": ("lambda_w", "lambda_h"),
    "lambda-w": ("lambda_w",),
    "lambda-h": ("lambda_h",),
    "n": ("per_class",),
    "K": ("num_classes",),
    "d": ("dim",),
}
WHOLE = ("n", "K", "d")
FORMS = "write NAME=START:STOP:COUNT, NAME=START:STOP:COUNT:log or NAME=A,B,C"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A variable and the values it takes."""

    name: str  # one of VARIABLES
    values: tuple[float, ...]  # ints for n, K and d

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a problem, and of a point, that hold the value."""
        return VARIABLES[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """The closed form at one point: all of its report but the spectrum."""

    num_classes: int = same_as(UFMReport, "num_classes")
    per_class: int = same_as(UFMReport, "per_class")
    dim: int = same_as(UFMReport, "dim")
    lambda_w: float = same_as(UFMReport, "lambda_w")
    lambda_h: float = same_as(UFMReport, "lambda_h")
    label_smoothing: float = same_as(UFMReport, "label_smoothing")
    logit_scale: float = same_as(UFMReport, "logit_scale")
    p_target: float = same_as(UFMReport, "p_target")
    p_other: float = same_as(UFMReport, "p_other")
    kappa_loss: float | None = same_as(UFMReport, "kappa_loss")
    kappa_regularised: float | None = same_as(UFMReport, "kappa_regularised")
    kappa_joint: float | None = same_as(UFMReport, "kappa_joint")
    weight_norm: float = same_as(UFMReport, "weight_norm")
    feature_norm: float = same_as(UFMReport, "feature_norm")
    loss: float = same_as(UFMReport, "loss")
    objective: float = same_as(UFMReport, "objective")
    notes: tuple[str, ...] = same_as(UFMReport, "notes")

    @property
    def place(self) -> str:
        """The point in a few words."""
        return place(asdict(self.problem))

    @property
    def problem(self) -> Problem:
        """The problem whose closed form this is."""
        return Problem(**{field.name: getattr(self, field.name) for field in fields(Problem)})


def sweep(axes: Sequence[Axis], base: Mapping[str, float | None]) -> tuple[SweepPoint, ...]:
    """Return one point for each combination of the axes, the first varying slowest.

    base: the other fields of a `Problem`; a dim of None is K at each point. Raises UsageError
    that names the point where the theory is silent.
    """
    return tuple(_point(problem) for problem in problems(axes, base))


def _point(problem: Problem) -> SweepPoint:
    report = analyze(problem)
    return SweepPoint(**{field.name: getattr(report, field.name) for field in fields(SweepPoint)})


def problems(axes: Sequence[Axis], base: Mapping[str, float | None]) -> list[Problem]:
    """Return the problems of all combinations; raises UsageError on a bad one or too many."""
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_POINTS:
        raise _too_many(count)
    return [
        _problem(base, _settings(axes, values))
        for values in product(*(axis.values for axis in axes))
    ]


def _settings(axes: Sequence[Axis], values: Sequence[float]) -> dict[str, float | None]:
    pairs = zip(axes, values, strict=True)
    return {field: value for axis, value in pairs for field in axis.fields}


def _problem(base: Mapping[str, float | None], swept: Mapping[str, float | None]) -> Problem:
    settings = {**base, **swept}
    if settings["dim"] is None:
        settings["dim"] = settings["num_classes"]
    try:
        return Problem(**settings)  # type: ignore[arg-type]
    except UsageError as error:
        raise UsageError(f"{error.problem} (at {place(swept)})", remedy=error.remedy) from None


def place(values: Mapping[str, float | None]) -> str:
    """Return fields of a problem in a few words: `K=10 n=100 delta=0.1`."""
    return " ".join(
        f"{meaning.label}={values[name]:g}"
        if isinstance(values[name], float)
        else f"{meaning.label}={values[name]}"
        for name, meaning in quantities(SweepPoint).items()
        if name in values
    )


def _too_many(count: int) -> UsageError:
    return UsageError(
        f"the sweep has {count:,} points, and {MOST_POINTS:,} is our own limit",
        remedy="take fewer values",
    )


# --- the words of a sweep -----------------------------------------------------------------------


def parse(words: Sequence[str]) -> tuple[Axis, ...]:
    """Return the axes that the words name, in their order; raises UsageError on a bad word."""
    axes = tuple(_axis(word) for word in words)
    taken: dict[str, str] = {}
    for axis in axes:
        for field in axis.fields:
            if field in taken:
                raise UsageError(f"{field} is swept twice, by {taken[field]} and {axis.name}")
            taken[field] = axis.name
    return axes


def _axis(word: str) -> Axis:
    name, equals, text = (part.strip() for part in word.partition("="))
    if not equals or not text:
        raise UsageError(f"cannot read the sweep '{word}'", remedy=FORMS)
    name = name.replace("lambda_", "lambda-")  # as the fields of the output are spelled
    if name not in VARIABLES:
        raise UsageError(
            f"unknown sweep variable '{name}'", remedy=f"try one of: {', '.join(VARIABLES)}"
        )
    values = _range(word, text) if ":" in text else [_number(word, one) for one in text.split(",")]
    return Axis(name=name, values=_whole(word, values) if name in WHOLE else tuple(values))


def _number(word: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"'{text}' in the sweep '{word}' is not a number", remedy=FORMS)
    return number


def _range(word: str, text: str) -> list[float]:
    parts = [part.strip() for part in text.split(":")]
    log = parts[3:] == ["log"]
    if len(parts) != 3 and not log:
        raise UsageError(f"cannot read the range of the sweep '{word}'", remedy=FORMS)
    start, stop = _number(word, parts[0]), _number(word, parts[1])
    count = _count(word, parts[2])
    if log and min(start, stop) <= 0:
        raise UsageError(f"the log range of the sweep '{word}' must lie above 0")
    steps = [index / (count - 1) for index in range(count)]
    # start (stop / start)^t and start + t (stop - start), in the forms that cannot overflow
    between = [start ** (1 - t) * stop**t if log else start * (1 - t) + stop * t for t in steps]
    # 12 digits, so that 0:0.5:6 holds 0.3 and 1e-8:1e-2:7:log holds 1e-7, on every machine
    return [start, *(float(f"{value:.12g}") for value in between[1:-1]), stop]


def _count(word: str, text: str) -> int:
    count = _number(word, text)
    if count != int(count) or count < 2:
        raise UsageError(f"the count of the sweep '{word}' must be a whole number from 2 on")
    if count > MOST_POINTS:
        raise _too_many(int(count))
    return int(count)


def _whole(word: str, values: Sequence[float]) -> tuple[int, ...]:
    """Whole numbers: a range is rounded to them, and what falls together is taken once."""
    if ":" not in word and any(value != int(value) for value in values):
        raise UsageError(f"the sweep '{word}' must hold whole numbers")
    return tuple(dict.fromkeys(round(value) for value in values))
