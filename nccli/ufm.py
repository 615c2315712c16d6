"""The unconstrained feature model: minimiser, spectra and condition numbers, in closed form.

K classes of n samples each, N = nK, features h_i in R^d and the classifier W both free:

    L(W, H) = (1/N) sum_i CE(W h_i, y_i^delta) + lambda_w/2 ||W||^2 + lambda_h/2 ||H||^2

Source: arXiv 2402.03979; the condition numbers and the joint spectrum are nccli's own, checked
against dense Hessians in the tests. Every function costs O(1) in n, K and d.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nccli.errors import UsageError
from nccli.result import quantity

LARGEST_SIZE = 10**15  # beyond it K n is no longer exact in a double
SMALLEST_PENALTY = 1e-100  # its square is still a normal double


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A balanced unconstrained feature model; raises UsageError where the theory is silent."""

    num_classes: int  # K >= 2
    per_class: int  # n >= 1
    dim: int  # d >= K - 1
    lambda_w: float  # > 0
    lambda_h: float  # > 0
    label_smoothing: float  # delta in [0, 1)

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise UsageError(f"K must be at least 2, got {self.num_classes}")
        if self.per_class < 1:
            raise UsageError(f"n must be at least 1, got {self.per_class}")
        if max(self.num_classes, self.per_class, self.dim) > LARGEST_SIZE:
            raise UsageError(f"K, n and d must not be above {LARGEST_SIZE:.0e}")
        if self.dim < self.num_classes - 1:
            raise UsageError(
                f"the closed form needs d >= K - 1 = {self.num_classes - 1}, got d = {self.dim}",
                remedy="a simplex ETF of K vectors does not fit into fewer dimensions",
            )
        for name, value in (("lambda_w", self.lambda_w), ("lambda_h", self.lambda_h)):
            if not SMALLEST_PENALTY <= value <= 1 / SMALLEST_PENALTY:
                raise UsageError(
                    f"{name} must be positive, got {value}",
                    remedy="give 1e-100 to 1e100: without penalties the minimum is at infinity",
                )
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"label smoothing must lie in [0, 1), got {self.label_smoothing}")

    @property
    def lambda_z(self) -> float:
        """sqrt(lambda_w lambda_h)."""
        return math.sqrt(self.lambda_w) * math.sqrt(self.lambda_h)

    @property
    def shrinkage(self) -> float:
        """s = delta + K sqrt(n) lambda_z; at s >= 1 everything collapses to zero."""
        return self.label_smoothing + self.num_classes * math.sqrt(self.per_class) * self.lambda_z


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimiser:
    """W = alpha C Q^T, h_i = beta Q c_{y_i}; logits a c_{y_i}; a = 0 at total collapse."""

    logit_scale: float  # a
    alpha: float
    beta: float
    p_target: float  # p_t, probability of the target class
    p_other: float  # p_n, of each other class
    loss: float  # the data term of L, in nats
    penalty: float  # the two quadratic terms of L

    @property
    def dominance(self) -> float:
        """D = p_t - p_n."""
        return self.p_target - self.p_other


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenvalue:
    """One eigenvalue of the joint Hessian with its exact multiplicity."""

    value: float
    multiplicity: int
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UFMReport:
    """Closed form of one problem; three condition numbers that must not be mixed up."""

    num_classes: int = quantity("K", "number of classes")
    per_class: int = quantity("n", "samples of each class")
    dim: int = quantity("d", "feature dimension")
    lambda_w: float = quantity("lambda_W", "penalty lambda_w/2 norm(W)^2")
    lambda_h: float = quantity("lambda_H", "penalty lambda_h/2 norm(H)^2")
    label_smoothing: float = quantity("delta", "label smoothing; 0 is cross-entropy")
    logit_scale: float = quantity("logit scale a", "logits are a (e_y - 1/K)")
    p_target: float = quantity("p target", "probability of the target class at the minimum")
    p_other: float = quantity("p other", "probability of each other class at the minimum")
    kappa_loss: float | None = quantity(
        "kappa, loss only",
        "K p_t (1 for K = 2): largest over smallest non-zero eigenvalue of the loss-only blocks",
        source="arXiv 2402.03979 (the paper's notion); exactly linear in delta",
        better="lower",
    )
    kappa_regularised: float | None = quantity(
        "kappa, regularised blocks",
        "1 + a p_t p_n / (sqrt(n) lambda_z): of the W and H blocks with their penalties",
        source="nccli; NOT always smaller under label smoothing",
        better="lower",
    )
    kappa_joint: float | None = quantity(
        "kappa, joint",
        "largest over smallest non-zero eigenvalue of the joint Hessian in (W, H)",
        source="nccli; the zero modes (rotations) are left out",
        better="lower",
    )
    weight_norm: float = quantity("norm of w_k", "alpha sqrt(1 - 1/K)")
    feature_norm: float = quantity("norm of h_i", "beta sqrt(1 - 1/K)")
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
    """Return minimiser, condition numbers and joint spectrum of a problem."""
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


def minimiser(problem: Problem) -> Minimiser:
    """Return the global minimum (THEORY: s = delta + K sqrt(n) lambda_z, a = log(K/s - K + 1))."""
    classes, shrinkage = problem.num_classes, problem.shrinkage
    if shrinkage >= 1:
        uniform = 1 / classes
        return Minimiser(
            logit_scale=0.0,
            alpha=0.0,
            beta=0.0,
            p_target=uniform,
            p_other=uniform,
            loss=math.log(classes),
            penalty=0.0,
        )
    # log1p keeps a right to full precision when s is close to one.
    scale = math.log1p(classes * (1 - shrinkage) / shrinkage)
    alpha_squared = scale * math.sqrt(problem.lambda_h * problem.per_class / problem.lambda_w)
    beta_squared = scale * math.sqrt(problem.lambda_w / (problem.per_class * problem.lambda_h))
    p_other = shrinkage / classes
    return Minimiser(
        logit_scale=scale,
        alpha=math.sqrt(alpha_squared),
        beta=math.sqrt(beta_squared),
        p_target=1 - (classes - 1) * p_other,
        p_other=p_other,
        loss=_loss(problem, scale),
        penalty=(classes - 1) * math.sqrt(problem.per_class) * problem.lambda_z * scale,
    )


def _loss(problem: Problem, scale: float) -> float:
    # -log p_t + delta (1 - 1/K) a, with 1/p_t = 1 + (K-1) e^-a: nothing cancels
    others = (problem.num_classes - 1) * math.exp(-scale)
    return math.log1p(others) + problem.label_smoothing * (1 - 1 / problem.num_classes) * scale


def kappa_loss(problem: Problem) -> float | None:
    """K p_t = K - (K-1) s for K >= 3, 1 for K = 2; None at total collapse (no non-zero part)."""
    if problem.shrinkage >= 1:
        return None
    if problem.num_classes == 2:
        return 1.0  # the loss-only blocks have a single non-zero eigenvalue
    return problem.num_classes - (problem.num_classes - 1) * problem.shrinkage


def kappa_regularised(problem: Problem) -> float:
    """1 + a p_t p_n / (sqrt(n) lambda_z), the same for the W and the H block."""
    best = minimiser(problem)
    weight = best.logit_scale * best.p_target * best.p_other
    return 1 + weight / (math.sqrt(problem.per_class) * problem.lambda_z)


def kappa_joint(spectrum: tuple[Eigenvalue, ...]) -> float:
    """Largest over smallest non-zero eigenvalue of the joint Hessian."""
    values = [entry.value for entry in spectrum if entry.value > 0]
    return max(values) / min(values)


# --- the joint spectrum -------------------------------------------------------------------------


def joint_spectrum(problem: Problem, *, penalties: bool = True) -> tuple[Eigenvalue, ...]:
    """Return the joint Hessian's eigenvalues at the minimum, largest first.

    Multiplicities add to Kd + Nd. With penalties=False it is the Hessian of the data term alone,
    at the same point (which is no minimum of it: some eigenvalues are negative).
    """
    blocks = [entry for entry in _blocks(problem, penalties) if entry.multiplicity > 0]
    return tuple(sorted(blocks, key=lambda entry: -entry.value))


def _blocks(problem: Problem, penalties: bool) -> list[Eigenvalue]:
    classes, per_class = problem.num_classes, problem.per_class
    best = minimiser(problem)
    lambda_w, lambda_h = (problem.lambda_w, problem.lambda_h) if penalties else (0.0, 0.0)
    coupling = _coupling(problem)
    spare = problem.dim - classes + 1  # m: directions outside the span of the means
    # At the minimum det(L - cX) = det(L + cX) = 0 exactly (c = lambda_z): flat directions.
    flat = penalties and problem.shrinkage <= 1
    curvature_h = best.alpha**2 / (classes * per_class)
    across = _pair(lambda_w, lambda_h, -coupling, flat=flat)
    found = [
        Eigenvalue(value=lambda_w, multiplicity=spare + classes - 1, block="W null space"),
        Eigenvalue(
            value=lambda_h,
            multiplicity=spare + classes * (per_class - 1) * spare,
            block="H null space",
        ),
        *_entries(across, (classes - 1) * spare, "rotations out of the span"),
        Eigenvalue(
            value=curvature_h * best.p_other + lambda_h,
            multiplicity=classes * (per_class - 1) * (classes - 2),
            block="within class, non-target",
        ),
        Eigenvalue(
            value=curvature_h * classes * best.p_target * best.p_other + lambda_h,
            multiplicity=classes * (per_class - 1),
            block="within class, target",
        ),
    ]
    if classes == 2:
        return [*found, *_two_class_blocks(problem, lambda_w, lambda_h, coupling, flat=flat)]
    return [*found, *_class_blocks(problem, lambda_w, lambda_h, coupling, flat=flat)]


def _coupling(problem: Problem) -> float:
    # c = (1 - delta - (p_t - p_n)) / (K sqrt(n)), which is lambda_z at an interior minimum
    if problem.shrinkage < 1:
        return problem.lambda_z
    return (1 - problem.label_smoothing) / (problem.num_classes * math.sqrt(problem.per_class))


def _class_blocks(
    problem: Problem, lambda_w: float, lambda_h: float, coupling: float, *, flat: bool
) -> list[Eigenvalue]:
    classes, best = problem.num_classes, minimiser(problem)
    base = best.p_other / classes
    dominance = best.dominance
    mixed = dominance * (1 - dominance) * (classes - 1) / classes**2
    threshold = flat and best.logit_scale == 0  # s = 1: every pair is flat, not the rotations alone
    rotations = _block_pair(problem, base, lambda_w, lambda_h, coupling, flat=flat)
    symmetric = _block_pair(problem, base, lambda_w, lambda_h, -coupling, flat=threshold)
    scale = _block_pair(problem, base + mixed, lambda_w, lambda_h, -coupling, flat=threshold)
    antisymmetric = (classes - 1) * (classes - 2) // 2
    return [
        *_entries(rotations, antisymmetric, "rotations in the span"),
        *_entries(symmetric, classes * (classes - 3) // 2, "class pairs, symmetric"),
        *_entries(scale, 1, "logit scale"),
        *_entries(
            _triple(problem, lambda_w, lambda_h, coupling, flat=threshold),
            classes - 1,
            "class norms",
        ),
    ]


def _two_class_blocks(
    problem: Problem, lambda_w: float, lambda_h: float, coupling: float, *, flat: bool
) -> list[Eigenvalue]:
    best = minimiser(problem)
    base, dominance = best.p_other / 2, best.dominance
    mixed = dominance * (1 - dominance) / 4
    threshold = flat and best.logit_scale == 0
    scale = _block_pair(problem, base + mixed, lambda_w, lambda_h, -coupling, flat=threshold)
    alpha_squared = best.alpha**2 / problem.per_class
    single = base * alpha_squared + lambda_h + mixed * alpha_squared
    return [*_entries(scale, 1, "logit scale"), *_entries([single], 1, "class norms")]


def _block_pair(
    problem: Problem,
    weight: float,
    lambda_w: float,
    lambda_h: float,
    coupling: float,
    *,
    flat: bool,
) -> list[float]:
    """Eigenvalues of weight R + L + coupling X, R = [beta, alpha/sqrt(n)] outer itself."""
    best = minimiser(problem)
    beta, alpha = best.beta, best.alpha / math.sqrt(problem.per_class)
    cross = weight * beta * alpha + coupling
    return _pair(weight * beta**2 + lambda_w, weight * alpha**2 + lambda_h, cross, flat=flat)


def _pair(first: float, second: float, cross: float, *, flat: bool) -> list[float]:
    """Eigenvalues of [[first, cross], [cross, second]]; `flat` says that one is exactly zero."""
    if flat:
        return [first + second, 0.0]
    mean, radius = (first + second) / 2, math.hypot((first - second) / 2, cross)
    if mean <= 0:
        return [mean + radius, mean - radius]
    # the smaller one as determinant over the larger: mean - radius would cancel
    return [mean + radius, (first * second - cross * cross) / (mean + radius)]


def _triple(
    problem: Problem, lambda_w: float, lambda_h: float, coupling: float, *, flat: bool
) -> list[float]:
    classes, best = problem.num_classes, minimiser(problem)
    if best.logit_scale == 0:
        return [*_pair(lambda_w, lambda_h, -coupling, flat=flat), lambda_h]
    beta, alpha = best.beta, best.alpha / math.sqrt(problem.per_class)
    base = best.p_other / classes
    cross = base * beta * alpha - coupling
    matrix = np.array(
        [
            [base * beta**2 + lambda_w, cross, 0.0],
            [cross, base * alpha**2 + lambda_h, 0.0],
            [0.0, 0.0, base * alpha**2 + lambda_h],
        ]
    )
    root = math.sqrt(1 - 2 / classes)
    direction = np.array([root * beta, root * alpha, alpha / math.sqrt(classes)])
    weight = best.dominance * (1 - best.dominance) / classes
    values = np.linalg.eigvalsh(matrix + weight * np.outer(direction, direction))
    return [float(value) for value in values]


def _entries(values: list[float], multiplicity: int, block: str) -> list[Eigenvalue]:
    return [Eigenvalue(value=value, multiplicity=multiplicity, block=block) for value in values]


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
