"""The last layer in memory, its penalties, and what the theory says of one like it.

N samples, K classes, D features. lambda_w is the run's weight decay. No setting of a training run
is lambda_h, the penalty on the features; it is given, recorded, or taken from the balance that both
penalties have at the optimum of the unconstrained feature model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nccli import ufm
from nccli.checkpoint import Checkpoint
from nccli.errors import ContentError, UsageError
from nccli.logits import Floats, Integers, Softmax, load_labels, load_logits, softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLayer:
    """Everything the Hessian of the data term is made of, in memory."""

    weight_KD: Floats
    features_ND: Floats
    labels_N: Integers
    softmax: Softmax

    @property
    def count(self) -> int:
        return len(self.labels_N)


def load_last_layer(checkpoint: Checkpoint, split: str) -> LastLayer:
    """Return the last layer of a split, in float64; raises ContentError without a classifier."""
    if checkpoint.classifier is None:
        raise ContentError(
            "has no classifier, and the last-layer Hessian needs one",
            remedy="save classifier/weight (and bias) with the features",
        )
    weight_KD, _ = checkpoint.classifier.arrays()
    return LastLayer(
        weight_KD=weight_KD,
        features_ND=np.asarray(checkpoint.split(split).features.load(), dtype=np.float64),
        labels_N=load_labels(checkpoint, split),
        softmax=softmax(load_logits(checkpoint, split)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalties:
    """lambda_w and lambda_h, None where unknown, and where lambda_h is from."""

    weight: float | None
    features: float | None
    source: str | None


def find_penalties(
    checkpoint: Checkpoint,
    layer: LastLayer,
    lambda_w: float | None,
    lambda_h: float | None,
    notes: list[str],
) -> Penalties:
    """Return both penalties: options first, then what the file records, then the norm balance."""
    for name, value in (("--lambda-w", lambda_w), ("--lambda-h", lambda_h)):
        if value is not None and not 0 <= value < np.inf:
            raise UsageError(f"{name} must be finite and not negative, got {value}")
    weight = checkpoint.metadata.weight_decay if lambda_w is None else lambda_w
    if not weight:
        notes.append(
            "kappa_regularised_w and theory_* need a weight decay; the file "
            f"{'records none' if weight is None else 'says 0'}: give --lambda-w"
        )
    if lambda_h == 0:
        notes.append("lambda_h is 0: kappa_regularised_h and theory_* are undefined")
    if lambda_h is not None:
        return Penalties(weight=weight, features=lambda_h, source="given")
    if checkpoint.metadata.feature_decay is not None:
        features = checkpoint.metadata.feature_decay
        return Penalties(weight=weight, features=features, source="recorded")
    balanced = _balanced_penalty(layer, weight)
    if balanced is None:
        if weight:
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


def _balanced_penalty(layer: LastLayer, weight: float | None) -> float | None:
    # At the UFM optimum both penalties are equal, and W and H are centred.
    features = np.square(layer.features_ND - layer.features_ND.mean(axis=0)).sum()
    weights = np.square(layer.weight_KD - layer.weight_KD.mean(axis=0)).sum()
    if not weight or features == 0 or weights == 0:
        return None
    balanced = float(weight * weights / features)
    return balanced if 0 < balanced < np.inf else None


def theory_beside(
    checkpoint: Checkpoint, layer: LastLayer, penalties: Penalties, notes: list[str]
) -> dict[str, float | None]:
    """Return the theory_ fields of a report: the closed form at the same K, n, d and penalties."""
    if not penalties.weight or not penalties.features:
        return {}
    if checkpoint.dim < checkpoint.num_classes - 1:
        notes.append("theory_* is undefined: the closed form needs d >= K - 1")
        return {}
    counts = np.bincount(layer.labels_N, minlength=checkpoint.num_classes)
    if counts.min() < 0.9 * counts.max():  # stratified splits of real data differ by a few
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


def _theory_fields(problem: ufm.Problem) -> dict[str, float | None]:
    expected = ufm.curvature(problem)
    loss_only, regularised = ufm.kappa_loss(problem), ufm.kappa_regularised(problem)
    return {
        "theory_lambda_max_w": expected.lambda_max_w,
        "theory_lambda_max_h": expected.lambda_max_h,
        "theory_lambda_max_joint": expected.lambda_max_joint,
        "theory_trace_w": expected.trace_w,
        "theory_trace_h": expected.trace_h,
        "theory_kappa_means_w": loss_only,
        "theory_kappa_regularised_w": regularised,
        "theory_kappa_regularised_h": _regularised_features(problem, expected, regularised),
        "theory_kappa_h_median": loss_only,
        "theory_kappa_h_p90": loss_only,
    }


def _regularised_features(
    problem: ufm.Problem, expected: ufm.Curvature, with_null_space: float
) -> float:
    if problem.dim >= problem.num_classes:
        return with_null_space
    # d = K - 1: no null space, the smallest eigenvalue is alpha^2 p_n / N + lambda_h
    best = ufm.minimiser(problem)
    smallest = best.alpha**2 * best.p_other / (problem.num_classes * problem.per_class)
    return (expected.lambda_max_h + problem.lambda_h) / (smallest + problem.lambda_h)
