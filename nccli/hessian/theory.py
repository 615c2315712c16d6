"""Penalties of a checkpoint, and what the theory says of a last layer like it.

lambda_w is the run's weight decay. No setting of a training run is lambda_h, the penalty on the
features; it is given, recorded, or taken from the balance that both penalties have at the optimum
of the unconstrained feature model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nccli import ufm
from nccli.checkpoint import Checkpoint
from nccli.errors import UsageError
from nccli.hessian.layer import LastLayer, Survey
from nccli.hessian_report import TheoryEigenvalue


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalties:
    """lambda_w and lambda_h, None where unknown, and where lambda_h is from."""

    weight: float | None
    features: float | None
    source: str | None


def check_penalties(lambda_w: float | None, lambda_h: float | None) -> None:
    """Raise UsageError on a penalty that is none."""
    for name, value in (("--lambda-w", lambda_w), ("--lambda-h", lambda_h)):
        if value is not None and not 0 <= value < np.inf:
            raise UsageError(f"{name} must be finite and not negative, got {value}")


def find_penalties(
    checkpoint: Checkpoint,
    layer: LastLayer,
    known: Survey,
    lambda_w: float | None,
    lambda_h: float | None,
    notes: list[str],
) -> Penalties:
    """Return both penalties: options first, then what the file records, then the norm balance."""
    weight = checkpoint.metadata.weight_decay if lambda_w is None else lambda_w
    if not weight:
        why = "the file says 0: give --lambda-w"
        if weight is None:
            why = "the file records none: give --lambda-w"
        if lambda_w is not None:
            why = "--lambda-w is 0"
        notes.append(
            "kappa_regularised_w, lambda_max_joint_regularised and theory_* need a weight decay; "
            f"{why}"
        )
    if lambda_h == 0:
        notes.append(
            "lambda_h is 0: kappa_regularised_h, lambda_max_joint_regularised and theory_* are "
            "undefined"
        )
    if lambda_h is not None:
        return Penalties(weight=weight, features=lambda_h, source="given")
    if checkpoint.metadata.feature_decay is not None:
        features = checkpoint.metadata.feature_decay
        return Penalties(weight=weight, features=features, source="recorded")
    balanced = _balanced_penalty(layer, known, weight)
    if balanced is None:
        if not weight:
            notes.append(
                "lambda_h is not recorded, and its norm balance needs lambda_w: "
                "kappa_regularised_h is undefined; give --lambda-h"
            )
        else:
            notes.append(
                "lambda_h is unknown (features or weight do not vary, so their norms have no "
                "balance): kappa_regularised_h and theory_* are undefined; give --lambda-h"
            )
        return Penalties(weight=weight, features=None, source=None)
    notes.append(
        "lambda_h is not recorded: taken from the norm balance of the optimum, "
        "lambda_w norm(W)^2 = lambda_h norm(H)^2 (both centred); give --lambda-h to set it"
    )
    return Penalties(weight=weight, features=balanced, source="norm balance")


def _balanced_penalty(layer: LastLayer, known: Survey, weight: float | None) -> float | None:
    # At the UFM optimum both penalties are equal, and W and H are centred.
    dim = layer.weight_KD.shape[1]
    mean_D = (known.counts_K @ known.means_KX)[:dim] / layer.count
    features = known.squares - layer.count * float(mean_D @ mean_D)
    weights = float(np.square(layer.weight_KD - layer.weight_KD.mean(axis=0)).sum())
    digits = 8 * float(np.finfo(layer.dtype).eps) * known.squares
    if not weight or features <= digits or weights == 0:
        return None
    balanced = weight * weights / features
    return balanced if 0 < balanced < np.inf else None


def theory_beside(
    checkpoint: Checkpoint,
    layer: LastLayer,
    known: Survey,
    penalties: Penalties,
    notes: list[str],
) -> dict[str, Any]:
    """Return the theory_ fields of a report: the closed form at the same K, n, d and penalties."""
    if not penalties.weight or not penalties.features:
        return {}
    if checkpoint.dim < checkpoint.num_classes - 1:
        notes.append("theory_* is undefined: the closed form needs d >= K - 1")
        return {}
    if known.counts_K.min() < 0.9 * known.counts_K.max():  # stratified splits differ by a few
        notes.append("theory_* is that of balanced classes, n = N / K; these are not balanced")
    try:
        problem = ufm.Problem(
            num_classes=checkpoint.num_classes,
            per_class=max(1, round(layer.count / checkpoint.num_classes)),
            dim=checkpoint.dim,
            lambda_w=penalties.weight,
            lambda_h=penalties.features,
            label_smoothing=checkpoint.metadata.label_smoothing or 0.0,
        )
    except UsageError as error:
        notes.append(f"theory_* is undefined: {error.problem}")
        return {}
    return _theory_fields(problem)


def _theory_fields(problem: ufm.Problem) -> dict[str, Any]:
    expected, ridged = ufm.curvature(problem), ufm.joint_spectrum(problem)
    loss_only, regularised = ufm.kappa_loss(problem), ufm.kappa_regularised(problem)
    return {
        "theory_lambda_max_w": expected.lambda_max_w,
        "theory_lambda_max_h": expected.lambda_max_h,
        "theory_lambda_max_joint": expected.lambda_max_joint,
        "theory_lambda_max_joint_regularised": ridged[0].value,
        "theory_trace_w": expected.trace_w,
        "theory_trace_h": expected.trace_h,
        "theory_trace_joint": expected.trace_w + expected.trace_h,
        "theory_kappa_means_w": loss_only,
        "theory_kappa_regularised_w": regularised,
        "theory_kappa_regularised_h": _regularised_features(problem, expected, regularised),
        "theory_kappa_h_median": loss_only,
        "theory_kappa_h_p90": loss_only,
        "theory_spectrum_w": _records(ufm.weight_block_spectrum(problem)),
        "theory_spectrum_h": _records(ufm.feature_block_spectrum(problem)),
        "theory_spectrum_joint": _records(ufm.joint_spectrum(problem, penalties=False)),
        "theory_spectrum_joint_regularised": _records(ridged),
    }


def _records(spectrum: Sequence[ufm.Eigenvalue]) -> tuple[TheoryEigenvalue, ...]:
    return tuple(
        TheoryEigenvalue(value=one.value, multiplicity=one.multiplicity, block=one.block)
        for one in spectrum
    )


def _regularised_features(
    problem: ufm.Problem, expected: ufm.Curvature, with_null_space: float
) -> float:
    if problem.dim >= problem.num_classes:
        return with_null_space
    # d = K - 1: no null space, the smallest eigenvalue is alpha^2 p_n / N + lambda_h
    if problem.num_classes == 2:
        return 1.0  # the block of a sample has a single eigenvalue, K p_t p_n
    best = ufm.minimiser(problem)
    smallest = best.alpha**2 * best.p_other / (problem.num_classes * problem.per_class)
    return (expected.lambda_max_h + problem.lambda_h) / (smallest + problem.lambda_h)
