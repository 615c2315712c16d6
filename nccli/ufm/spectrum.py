"""The exact spectra of the unconstrained feature model at its minimum, with multiplicities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nccli.ufm.problem import Minimiser, Problem, minimiser


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenvalue:
    """One eigenvalue of the joint Hessian with its exact multiplicity."""

    value: float
    multiplicity: int
    block: str


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


# --- the blocks -----------------------------------------------------------------------------------


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


def feature_block_spectrum(problem: Problem) -> tuple[Eigenvalue, ...]:
    """Return the eigenvalues of the H block of the data term at the minimum, largest first.

    (alpha^2 / N) times K p_t p_n once and p_n K - 2 times for each of the N samples, and 0 on the
    directions of R^d that no classifier weight has. Multiplicities add to N d.
    """
    classes, best = problem.num_classes, minimiser(problem)
    count = classes * problem.per_class
    if best.logit_scale == 0:  # total collapse: the weights are zero, and so is the block
        return (Eigenvalue(value=0.0, multiplicity=count * problem.dim, block="null space"),)
    unit = best.alpha**2 / count
    found = [
        *_entries([unit * classes * best.p_target * best.p_other], count, "target"),
        *_entries([unit * best.p_other], count * (classes - 2), "non-target"),
        *_entries([0.0], count * (problem.dim - classes + 1), "null space"),
    ]
    return tuple(entry for entry in found if entry.multiplicity > 0)
