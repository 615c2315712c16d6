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
        return self.label_smoothing + self.pull

    @property
    def pull(self) -> float:
        """z = K sqrt(n) lambda_z: how strongly the penalties pull towards zero."""
        return self.num_classes * math.sqrt(self.per_class) * self.lambda_z

    @property
    def margin(self) -> float:
        """1 - s, which is p_t - p_n; 0 or less is total collapse."""
        # not 1 - shrinkage: near s = 1 that keeps only the digits that s lost
        return (1 - self.label_smoothing) - self.pull


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimiser:
    """W = alpha C Q^T, h_i = beta Q c_{y_i}; logits a c_{y_i}; a = 0 at total collapse."""

    logit_scale: float  # a
    alpha: float
    beta: float
    p_target: float  # p_t, probability of the target class
    p_other: float  # p_n, of each other class
    dominance: float  # D = p_t - p_n
    mixing: float  # D (1 - D)
    loss: float  # the data term of L, in nats
    penalty: float  # the two quadratic terms of L


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
    classes, shrinkage, margin = problem.num_classes, problem.shrinkage, problem.margin
    if margin <= 0:
        uniform = 1 / classes
        return Minimiser(
            logit_scale=0.0,
            alpha=0.0,
            beta=0.0,
            p_target=uniform,
            p_other=uniform,
            dominance=0.0,
            mixing=0.0,
            loss=math.log(classes),
            penalty=0.0,
        )
    # log1p keeps a right to full precision when s is close to one.
    scale = math.log1p(classes * margin / shrinkage)
    alpha_squared = scale * math.sqrt(problem.lambda_h * problem.per_class / problem.lambda_w)
    beta_squared = scale * math.sqrt(problem.lambda_w / (problem.per_class * problem.lambda_h))
    p_other = shrinkage / classes
    p_target = margin + p_other  # 1 - (K-1) p_n would cancel
    others = (classes - 1) * p_other / p_target
    return Minimiser(
        logit_scale=scale,
        alpha=math.sqrt(alpha_squared),
        beta=math.sqrt(beta_squared),
        p_target=p_target,
        p_other=p_other,
        dominance=margin,
        mixing=margin * shrinkage,
        # -log p_t + delta (1 - 1/K) a, with 1/p_t = 1 + (K-1) p_n/p_t: nothing cancels
        loss=math.log1p(others) + problem.label_smoothing * (1 - 1 / classes) * scale,
        penalty=(classes - 1) * math.sqrt(problem.per_class) * problem.lambda_z * scale,
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


# --- the joint spectrum -------------------------------------------------------------------------


def joint_spectrum(problem: Problem, *, penalties: bool = True) -> tuple[Eigenvalue, ...]:
    """Return the joint Hessian's eigenvalues at the minimum, largest first.

    Multiplicities add to Kd + Nd. With penalties=False it is the Hessian of the data term alone,
    at the same point (which is no minimum of it: some eigenvalues are negative).
    """
    blocks = [entry for entry in _blocks(problem, penalties) if entry.multiplicity > 0]
    # equal penalties make blocks equal: to 12 digits, so that roundoff does not order them
    return tuple(sorted(blocks, key=lambda entry: -float(f"{entry.value:.12g}")))


def _blocks(problem: Problem, penalties: bool) -> list[Eigenvalue]:
    classes, per_class = problem.num_classes, problem.per_class
    best, terms = minimiser(problem), _terms(problem, penalties)
    spare = problem.dim - classes + 1  # m: directions outside the span of the means
    curvature_h = best.alpha**2 / (classes * per_class)
    across = _pair(terms, 0.0, sign=-1)
    found = [
        Eigenvalue(value=terms.lambda_w, multiplicity=spare + classes - 1, block="W null space"),
        Eigenvalue(
            value=terms.lambda_h,
            multiplicity=spare + classes * (per_class - 1) * spare,
            block="H null space",
        ),
        *_entries(across, (classes - 1) * spare, "rotations out of the span"),
        Eigenvalue(
            value=curvature_h * best.p_other + terms.lambda_h,
            multiplicity=classes * (per_class - 1) * (classes - 2),
            block="within class, non-target",
        ),
        Eigenvalue(
            value=curvature_h * classes * best.p_target * best.p_other + terms.lambda_h,
            multiplicity=classes * (per_class - 1),
            block="within class, target",
        ),
    ]
    blocks = _two_class_blocks if classes == 2 else _class_blocks
    return [*found, *blocks(classes, best, terms)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What the small blocks are made of: r = [beta, alpha'], L = diag(lambda), the coupling c."""

    beta: float
    alpha: float  # alpha' = alpha / sqrt(n)
    lambda_w: float
    lambda_h: float
    coupling: float  # (1 - delta - D) / (K sqrt(n)), which is lambda_z at an interior minimum
    slack: float  # lambda_w lambda_h - c^2, which is 0 at an interior minimum
    gain: float  # beta^2 lambda_h + alpha'^2 lambda_w = 2 beta alpha' lambda_z


def _terms(problem: Problem, penalties: bool) -> _Terms:
    best, root = minimiser(problem), math.sqrt(problem.per_class)
    interior = problem.margin > 0
    flat = (1 - problem.label_smoothing) / (problem.num_classes * root)
    coupling = problem.lambda_z if interior else flat
    # 0 and 2 beta alpha' lambda_z by algebra, not by rounding: they decide the small eigenvalues
    below = -problem.margin / (problem.num_classes * root) if problem.margin < 0 else 0.0
    slack = below * (problem.lambda_z + coupling) if penalties else -(coupling**2)
    beta, alpha = best.beta, best.alpha / root
    return _Terms(
        beta=beta,
        alpha=alpha,
        lambda_w=problem.lambda_w if penalties else 0.0,
        lambda_h=problem.lambda_h if penalties else 0.0,
        coupling=coupling,
        slack=slack,
        gain=2 * beta * alpha * problem.lambda_z if penalties else 0.0,
    )


def _class_blocks(classes: int, best: Minimiser, terms: _Terms) -> list[Eigenvalue]:
    base = best.p_other / classes
    mixed = best.mixing * (classes - 1) / classes**2
    antisymmetric = (classes - 1) * (classes - 2) // 2
    symmetric = classes * (classes - 3) // 2
    return [
        *_entries(_pair(terms, base, sign=1), antisymmetric, "rotations in the span"),
        *_entries(_pair(terms, base, sign=-1), symmetric, "class pairs, symmetric"),
        *_entries(_pair(terms, base + mixed, sign=-1), 1, "logit scale"),
        *_entries(_triple(classes, best, terms), classes - 1, "class norms"),
    ]


def _two_class_blocks(classes: int, best: Minimiser, terms: _Terms) -> list[Eigenvalue]:
    base, mixed = best.p_other / classes, best.mixing / classes**2
    single = (base + mixed) * terms.alpha**2 + terms.lambda_h
    scale = _pair(terms, base + mixed, sign=-1)
    return [*_entries(scale, 1, "logit scale"), *_entries([single], 1, "class norms")]


def _determinant(terms: _Terms, weight: float, sign: int) -> float:
    """Determinant of weight r r^T + L + sign c X, without the terms that cancel."""
    turn = sign * 2 * terms.beta * terms.alpha * terms.coupling
    return weight * (terms.gain - turn) + terms.slack


def _pair(terms: _Terms, weight: float, *, sign: int) -> list[float]:
    """Eigenvalues of weight r r^T + L + sign c X; exactly 0 where a direction is flat."""
    first = weight * terms.beta**2 + terms.lambda_w
    second = weight * terms.alpha**2 + terms.lambda_h
    cross = weight * terms.beta * terms.alpha + sign * terms.coupling
    large = (first + second) / 2 + math.hypot((first - second) / 2, cross)
    # the smaller one as determinant over the larger: mean - radius would cancel
    return [large, _determinant(terms, weight, sign) / large]


def _triple(classes: int, best: Minimiser, terms: _Terms) -> list[float]:
    """Eigenvalues of M = [[w R + L - c X, 0], [0, g]] + x t t^T, largest first.

    t = (sqrt(nu) beta, sqrt(nu) alpha', alpha' / sqrt(K)). The largest is read off M and the
    smallest off its inverse; the middle one is the determinant over both. Determinant and
    cofactors are sums of positive terms, so all three keep their digits however far apart they
    lie.
    """
    if best.logit_scale == 0:
        return [*_pair(terms, 0.0, sign=-1), terms.lambda_h]
    matrix = _norms_matrix(classes, best, terms)
    values = [float(value) for value in np.linalg.eigvalsh(matrix)[::-1]]
    if terms.lambda_w == 0:  # the data term alone is indefinite; its large end is what is used
        return values
    adjugate, determinant = _norms_adjugate(classes, best, terms, scale=values[0])
    smallest = determinant / float(np.linalg.eigvalsh(adjugate)[-1])
    return [values[0], determinant / smallest * values[0], smallest * values[0]]


def _norms_matrix(classes: int, best: Minimiser, terms: _Terms) -> np.ndarray:
    base, extra = best.p_other / classes, best.mixing / classes
    cross = base * terms.beta * terms.alpha - terms.coupling
    corner = base * terms.alpha**2 + terms.lambda_h
    matrix = np.array(
        [
            [base * terms.beta**2 + terms.lambda_w, cross, 0.0],
            [cross, corner, 0.0],
            [0.0, 0.0, corner],
        ]
    )
    root = math.sqrt(1 - 2 / classes)
    direction = [root * terms.beta, root * terms.alpha, terms.alpha / math.sqrt(classes)]
    return matrix + extra * np.outer(direction, direction)


def _norms_adjugate(
    classes: int, best: Minimiser, terms: _Terms, *, scale: float
) -> tuple[np.ndarray, float]:
    """Adjugate and determinant of M / scale: the products of tiny penalties would underflow."""
    base, extra = best.p_other / classes, best.mixing / classes
    shared, own = extra * (1 - 2 / classes), extra * terms.alpha**2 / classes / scale
    corner = (base * terms.alpha**2 + terms.lambda_h) / scale
    full = corner + own
    block = _determinant(terms, base, -1) / scale**2
    block_shared = _determinant(terms, base + shared, -1) / scale**2

    def minor(plain: float, product: float) -> float:
        return plain / scale * full + shared * product / scale * corner

    beta, alpha, coupling = terms.beta, terms.alpha, terms.coupling
    first = minor(base * alpha**2 + terms.lambda_h, alpha**2)
    second = minor(base * beta**2 + terms.lambda_w, beta**2)
    cross = -minor(base * beta * alpha - coupling, beta * alpha)
    border = extra * math.sqrt(1 - 2 / classes) / math.sqrt(classes) * alpha / scale
    third = -border * (coupling * alpha + terms.lambda_h * beta) / scale
    fourth = -border * (coupling * beta + terms.lambda_w * alpha) / scale
    adjugate = [
        [first, cross, third],
        [cross, second, fourth],
        [third, fourth, block_shared],
    ]
    return np.array(adjugate), corner * block_shared + own * block


def _entries(values: list[float], multiplicity: int, block: str) -> list[Eigenvalue]:
    return [Eigenvalue(value=value, multiplicity=multiplicity, block=block) for value in values]


# --- the weight block -----------------------------------------------------------------------------


def weight_block_spectrum(problem: Problem) -> tuple[Eigenvalue, ...]:
    """Return the eigenvalues of the W block of the data term at the minimum, largest first.

    (beta^2 / K) times p_n, p_n [1 + (K-2) D] and p_n [1 + (K-1) D] = K p_t p_n, and 0: on the
    directions 1 of R^K and on those of R^d that no class mean has. Multiplicities add to K d.
    """
    classes, best = problem.num_classes, minimiser(problem)
    null = classes * problem.dim - (classes - 1) ** 2
    if best.logit_scale == 0:  # total collapse: the features are zero, and so is the block
        return (Eigenvalue(value=0.0, multiplicity=classes * problem.dim, block="null space"),)
    unit = best.beta**2 / classes
    antisymmetric = (classes - 1) * (classes - 2) // 2
    mixed = unit * best.p_other * (1 + (classes - 2) * best.dominance)
    found = [
        Eigenvalue(
            value=unit * classes * best.p_target * best.p_other,
            multiplicity=1,
            block="logit scale",
        )
    ]
    if classes > 2:
        found += [
            *_entries([mixed], classes - 1, "class norms"),
            *_entries(
                [unit * best.p_other], classes * (classes - 3) // 2, "class pairs, symmetric"
            ),
            *_entries([unit * best.p_other], antisymmetric, "class pairs, antisymmetric"),
        ]
    found += _entries([0.0], null, "null space")
    return tuple(entry for entry in found if entry.multiplicity > 0)


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
