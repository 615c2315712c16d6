"""What the closed form says of a problem: condition numbers, and what a checkpoint is held to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nccli.result import Shown, quantity
from nccli.ufm.problem import Problem, minimiser
from nccli.ufm.spectrum import Eigenvalue, joint_spectrum


@dataclass(frozen=True, slots=True, kw_only=True)
class UFMReport(Shown):
    """Closed form of one problem; three condition numbers that must not be mixed up."""

    num_classes: int = quantity("K", "number of classes")
    per_class: int = quantity("n", "samples of each class")
    dim: int = quantity("d", "feature dimension")
    lambda_w: float = quantity("lambda_W", "penalty lambda_w/2 norm(W)^2")
    lambda_h: float = quantity("lambda_H", "penalty lambda_h/2 norm(H)^2")
    label_smoothing: float = quantity("delta", "label smoothing; 0 is cross-entropy")
    logit_scale: float = quantity("logit scale a", "logits are a (e_y - 1/K)", brief=True)
    p_target: float = quantity(
        "p target", "probability of the target class at the minimum", brief=True
    )
    p_other: float = quantity("p other", "probability of each other class at the minimum")
    kappa_loss: float | None = quantity(
        "kappa, loss only",
        "K p_t (1 for K = 2): largest over smallest non-zero eigenvalue of the loss-only blocks",
        source="arXiv 2402.03979 (the paper's notion); exactly linear in delta",
        better="lower",
        brief=True,
    )
    kappa_regularised: float | None = quantity(
        "kappa, regularised blocks",
        "1 + a p_t p_n / (sqrt(n) lambda_z): of the W and H blocks with their penalties",
        source="nccli; NOT always smaller under label smoothing",
        better="lower",
        brief=True,
    )
    kappa_joint: float | None = quantity(
        "kappa, joint",
        "largest over smallest non-zero eigenvalue of the joint Hessian in (W, H)",
        source="nccli; the zero modes (rotations) are left out",
        better="lower",
        brief=True,
    )
    weight_norm: float = quantity("norm of w_k", "alpha sqrt(1 - 1/K)", brief=True)
    feature_norm: float = quantity("norm of h_i", "beta sqrt(1 - 1/K)", brief=True)
    loss: float = quantity("loss", "data term at the minimum", unit="nats")
    objective: float = quantity("objective", "data term and both penalties at the minimum")
    spectrum: tuple[Eigenvalue, ...] = quantity(
        "joint spectrum",
        "eigenvalues with exact multiplicities, adding to Kd + Nd",
        default=(),
        records=True,
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined", default=())


def analyze(problem: Problem) -> UFMReport:
    """Return minimiser, condition numbers and joint spectrum of a problem.

    >>> import nccli
    >>> problem = nccli.ufm.Problem(
    ...     num_classes=10, per_class=100, dim=128, lambda_w=5e-3, lambda_h=1e-5,
    ...     label_smoothing=0.1,
    ... )
    >>> report = nccli.ufm.analyze(problem)
    >>> f"{report.kappa_regularised:.2f}, {report.p_target:.3f}"
    '21.87, 0.890'
    """
    best = minimiser(problem)
    spectrum = joint_spectrum(problem)
    root = math.sqrt(1 - 1 / problem.num_classes)
    collapsed = best.logit_scale == 0
    return UFMReport(
        num_classes=problem.num_classes,
        per_class=problem.per_class,
        dim=problem.dim,
        lambda_w=problem.lambda_w,
        lambda_h=problem.lambda_h,
        label_smoothing=problem.label_smoothing,
        logit_scale=best.logit_scale,
        p_target=best.p_target,
        p_other=best.p_other,
        kappa_loss=kappa_loss(problem),
        kappa_regularised=kappa_regularised(problem),
        kappa_joint=kappa_joint(spectrum),
        weight_norm=best.alpha * root,
        feature_norm=best.beta * root,
        loss=best.loss,
        objective=best.loss + best.penalty,
        spectrum=spectrum,
        notes=(_TOTAL_COLLAPSE.format(problem.shrinkage),) if collapsed else (),
    )


_TOTAL_COLLAPSE = (
    "s = delta + K sqrt(n) lambda_z = {:.4g} >= 1: the minimum is W = 0, H = 0 (total collapse); "
    "kappa_loss is undefined because the loss-only blocks vanish"
)


def kappa_loss(problem: Problem) -> float | None:
    """K p_t = K - (K-1) s for K >= 3, 1 for K = 2; None at total collapse (no non-zero part)."""
    if problem.margin <= 0:
        return None
    if problem.num_classes == 2:
        return 1.0  # the loss-only blocks have a single non-zero eigenvalue
    return 1 + (problem.num_classes - 1) * problem.margin


def kappa_regularised(problem: Problem) -> float:
    """1 + a p_t p_n / (sqrt(n) lambda_z), the same for the W and the H block."""
    best = minimiser(problem)
    weight = best.logit_scale * best.p_target * best.p_other
    return 1 + weight / (math.sqrt(problem.per_class) * problem.lambda_z)


def kappa_joint(spectrum: tuple[Eigenvalue, ...]) -> float:
    """Largest over smallest non-zero eigenvalue of the joint Hessian."""
    values = [entry.value for entry in spectrum if entry.value > 0]
    return max(values) / min(values)


# --- what a checkpoint's Hessian is compared with -----------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Curvature:
    """What the last-layer Hessian of a checkpoint would be at the collapsed optimum (data term)."""

    lambda_max_w: float
    lambda_max_h: float
    lambda_max_joint: float
    trace_w: float
    trace_h: float


def curvature(problem: Problem) -> Curvature:
    """Return the loss-only largest eigenvalues and traces at the minimum."""
    best = minimiser(problem)
    classes, count = problem.num_classes, problem.num_classes * problem.per_class
    target = best.p_target * best.p_other
    trace_softmax = (classes - 2) * best.p_other + classes * target
    return Curvature(
        lambda_max_w=best.beta**2 * target,
        lambda_max_h=best.alpha**2 / count * classes * target,
        lambda_max_joint=joint_spectrum(problem, penalties=False)[0].value,
        trace_w=best.beta**2 * (1 - 1 / classes) * trace_softmax,
        trace_h=best.alpha**2 * trace_softmax,
    )
