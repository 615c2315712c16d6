"""The closed form against dense Hessians, and its condition numbers against their definitions."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import reference

from nccli import ufm
from nccli.errors import UsageError

GRID = [  # K, n, d, delta, lambda_w, lambda_h
    (2, 2, 1, 0.0, 5e-3, 1e-3),
    (2, 3, 4, 0.1, 5e-3, 1e-3),
    (3, 2, 2, 0.0, 1e-2, 2e-3),
    (3, 2, 5, 0.2, 1e-2, 2e-3),
    (4, 3, 3, 0.1, 5e-3, 5e-3),
    (4, 1, 5, 0.1, 1e-3, 1e-2),
    (5, 2, 6, 0.05, 1e-3, 4e-3),
    (3, 2, 4, 0.0, 0.9, 0.9),  # s > 1: everything collapses to zero
    (4, 2, 5, 0.5, 0.5, 0.5),
    (2, 2, 3, 0.3, 0.9, 0.9),
    (2, 4, 3, 0.5, 1 / 8, 1 / 8),  # s = 1 exactly
    (4, 4, 5, 0.0, 1 / 8, 1 / 8),
]


def problem_of(case):
    names = ("num_classes", "per_class", "dim", "label_smoothing", "lambda_w", "lambda_h")
    return ufm.Problem(**dict(zip(names, case, strict=True)))


def point_at_minimum(problem):
    best = ufm.minimiser(problem)
    rng = np.random.default_rng(0)
    directions = reference.simplex_directions(problem.num_classes, problem.dim, rng)
    etf = (np.eye(problem.num_classes) - 1 / problem.num_classes) @ directions.T
    labels = np.repeat(np.arange(problem.num_classes), problem.per_class)
    return best.alpha * etf, best.beta * etf[labels], labels


@pytest.mark.parametrize("case", GRID)
@pytest.mark.parametrize("penalties", [True, False])
def test_the_joint_spectrum_is_that_of_the_dense_hessian(case, penalties):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    hessian = reference.joint_hessian(
        weight,
        features,
        labels,
        problem.label_smoothing,
        problem.lambda_w * penalties,
        problem.lambda_h * penalties,
    )
    spectrum = ufm.joint_spectrum(problem, penalties=penalties)
    values = np.sort([e.value for e in spectrum for _ in range(e.multiplicity)])
    assert len(values) == len(hessian)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(hessian), atol=1e-14)


@pytest.mark.parametrize("case", GRID)
def test_curvature_is_that_of_the_dense_blocks(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    hessian = reference.joint_hessian(weight, features, labels, problem.label_smoothing)
    size = weight.size
    expected = ufm.curvature(problem)
    measured = {
        "lambda_max_w": np.linalg.eigvalsh(hessian[:size, :size])[-1],
        "lambda_max_h": np.linalg.eigvalsh(hessian[size:, size:])[-1],
        "lambda_max_joint": np.linalg.eigvalsh(hessian)[-1],
        "trace_w": np.trace(hessian[:size, :size]),
        "trace_h": np.trace(hessian[size:, size:]),
    }
    for name, value in measured.items():
        assert getattr(expected, name) == pytest.approx(value, abs=1e-14), name


@pytest.mark.parametrize("case", [case for case in GRID if problem_of(case).shrinkage < 1])
def test_kappa_loss_is_the_ratio_of_the_nonzero_eigenvalues_of_the_weight_block(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    hessian = reference.joint_hessian(weight, features, labels, problem.label_smoothing)
    values = np.linalg.eigvalsh(hessian[: weight.size, : weight.size])
    nonzero = values[values > 1e-9 * values[-1]]
    assert ufm.kappa_loss(problem) == pytest.approx(nonzero[-1] / nonzero[0], rel=1e-9)


@pytest.mark.parametrize("case", GRID)
def test_kappa_regularised_is_the_condition_number_of_the_penalised_weight_block(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    hessian = reference.joint_hessian(
        weight, features, labels, problem.label_smoothing, problem.lambda_w, problem.lambda_h
    )
    values = np.linalg.eigvalsh(hessian[: weight.size, : weight.size])
    assert ufm.kappa_regularised(problem) == pytest.approx(values[-1] / values[0], rel=1e-9)


@pytest.mark.parametrize("case", GRID)
def test_the_minimiser_has_no_gradient_and_nothing_near_it_is_lower(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)

    def objective(weight, features):
        data = reference.smoothed_loss(features @ weight.T, labels, problem.label_smoothing)
        squares = problem.lambda_w * np.sum(weight**2) + problem.lambda_h * np.sum(features**2)
        return data + squares / 2

    report = ufm.analyze(problem)
    best = objective(weight, features)
    assert report.objective == pytest.approx(best, rel=1e-12)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            moved = weight + size * rng.normal(size=weight.shape)
            pushed = features + size * rng.normal(size=features.shape)
            assert objective(moved, pushed) >= best - 1e-12


@pytest.mark.parametrize("case", GRID)
def test_the_weight_block_spectrum_is_that_of_the_dense_block(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    hessian = reference.joint_hessian(weight, features, labels, problem.label_smoothing)
    block = hessian[: weight.size, : weight.size]
    spectrum = ufm.weight_block_spectrum(problem)
    values = [entry.value for entry in spectrum for _ in range(entry.multiplicity)]
    assert values == sorted(values, reverse=True)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(block)[::-1], atol=1e-14)
    assert sum(values) == pytest.approx(ufm.curvature(problem).trace_w, rel=1e-12)
    if problem.margin > 0:
        positive = [value for value in values if value > 0]
        assert len(positive) == (problem.num_classes - 1) ** 2
        assert positive[0] / positive[-1] == pytest.approx(ufm.kappa_loss(problem), rel=1e-12)


@pytest.mark.parametrize("case", GRID)
def test_the_feature_block_spectrum_is_that_of_the_dense_block(case):
    problem = problem_of(case)
    weight, features, labels = point_at_minimum(problem)
    hessian = reference.joint_hessian(weight, features, labels, problem.label_smoothing)
    block = hessian[weight.size :, weight.size :]
    spectrum = ufm.feature_block_spectrum(problem)
    values = [entry.value for entry in spectrum for _ in range(entry.multiplicity)]
    assert values == sorted(values, reverse=True)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(block)[::-1], atol=1e-14)


def test_kappa_loss_falls_exactly_linearly_with_delta():
    deltas = np.linspace(0, 0.9, 10)
    values = [ufm.kappa_loss(problem_of((10, 50, 16, delta, 1e-4, 1e-6))) for delta in deltas]
    np.testing.assert_allclose(np.diff(values), -0.9, rtol=1e-10)


def test_kappa_regularised_falls_or_rises_with_delta_as_the_penalty_decides():
    def kappa(delta, lambda_h):
        return ufm.kappa_regularised(problem_of((10, 5000, 512, delta, 5e-4, lambda_h)))

    assert kappa(0, 5e-4) == pytest.approx(3.018, abs=1e-3)
    assert kappa(0.1, 5e-4) == pytest.approx(2.950, abs=1e-3)
    assert kappa(0, 1e-6) == pytest.approx(7.34, abs=1e-2)
    assert kappa(0.1, 1e-6) == pytest.approx(29.5, abs=1e-1)


def test_no_eigenvalue_is_a_negative_zero_at_the_threshold_of_collapse():
    for case in GRID[-2:]:
        spectrum = ufm.joint_spectrum(problem_of(case))
        assert all(math.copysign(1, entry.value) == 1 for entry in spectrum)


def test_the_cost_does_not_grow_with_the_problem():
    report = ufm.analyze(problem_of((10_000, 1_000_000, 20_000, 0.1, 1e-9, 1e-12)))
    total = sum(entry.multiplicity for entry in report.spectrum)
    assert total == (10_000 + 10_000 * 1_000_000) * 20_000
    assert math.isfinite(report.kappa_joint)


@pytest.mark.parametrize("classes", [2, 3, 4, 1000])
@pytest.mark.parametrize("spare", [0, 5])
@pytest.mark.parametrize("per_class", [1, 10**12])
@pytest.mark.parametrize("lambda_h", [1e-12, 0.9, 1e9])  # the last two collapse totally
def test_multiplicities_are_exact_integers_that_add_up(classes, spare, per_class, lambda_h):
    dim = classes - 1 + spare
    problem = problem_of((classes, per_class, dim, 0.1, 0.9, lambda_h))
    spectrum = ufm.joint_spectrum(problem)
    assert all(type(entry.multiplicity) is int for entry in spectrum)
    assert sum(entry.multiplicity for entry in spectrum) == classes * dim * (1 + per_class)
    block = ufm.weight_block_spectrum(problem)
    assert sum(entry.multiplicity for entry in block) == classes * dim


def test_the_zero_modes_are_the_rotations():
    report = ufm.analyze(problem_of((4, 3, 6, 0.1, 5e-3, 5e-3)))
    zeros = [entry for entry in report.spectrum if entry.value == 0]
    assert all("rotations" in entry.block for entry in zeros)
    assert sum(entry.multiplicity for entry in zeros) == 3 * 3 + 3  # (K-1) m + (K-1)(K-2)/2


def test_total_collapse_is_said():
    report = ufm.analyze(problem_of((3, 2, 4, 0.0, 0.9, 0.9)))
    assert report.logit_scale == 0
    assert report.kappa_loss is None
    assert "total collapse" in report.notes[0]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ((1, 2, 3, 0.0, 1e-3, 1e-3), "K must be at least 2"),
        ((3, 0, 3, 0.0, 1e-3, 1e-3), "n must be at least 1"),
        ((5, 2, 3, 0.0, 1e-3, 1e-3), "d >= K - 1 = 4, got d = 3"),
        ((3, 2, 3, 0.0, 0.0, 1e-3), "lambda_w must be positive"),
        ((3, 2, 3, 1.0, 1e-3, 1e-3), r"label smoothing must lie in \[0, 1\)"),
    ],
)
def test_where_the_theory_is_silent_an_error_says_so(case, message):
    with pytest.raises(UsageError, match=message):
        problem_of(case)


# --- the extreme corners, in decimal arithmetic -------------------------------------------------

CORNERS = [  # K, n, d, delta, lambda_w, lambda_h
    (10, 1, 12, 0.5, 1e-12, 1e-30),
    (10, 10**6, 12, 0.1, 1e-12, 1e-12),
    (2, 1, 4, 0.5, 1e-12, 1e-30),
    (3, 10**12, 4, 0.1, 5e-4, 1e-30),
    (1000, 1, 1000, 0.0, 1e-12, 1e-30),
    (10**6, 10, 10**6, 1 - 1e-9, 1e-2, 1e-30),
    (10**6, 10**12, 10**7, 1 - 2**-53, 1e-12, 1e-30),
    (10, 5000, 512, 0.1, 1e-100, 1e-100),
    (10, 100, 512, 0.1, 1e-100, 1e90),
    (4, 1, 4, 1 - 1e-12, 1e-13, 1e-13),  # s near 1
    (10, 10**6, 12, 0.3, 1e-2, 1e-6),  # s > 1
]


def dense(vector, weight, diagonal, coupling):
    """weight v v^T + diag, with the coupling between the first two."""
    size = len(diagonal)
    matrix = [[weight * vector[i] * vector[j] for j in range(size)] for i in range(size)]
    for i in range(size):
        matrix[i][i] += diagonal[i]
    if size > 1:
        matrix[0][1] += coupling
        matrix[1][0] += coupling
    return matrix


def exact_blocks(problem):
    """The joint Hessian's blocks as the text has them, in decimal arithmetic."""
    k, n = Decimal(problem.num_classes), Decimal(problem.per_class)
    lw, lh, delta = (
        Decimal(value) for value in (problem.lambda_w, problem.lambda_h, problem.label_smoothing)
    )
    lz, root = (lw * lh).sqrt(), n.sqrt()
    s = delta + k * root * lz
    a = (k / s - k + 1).ln() if s < 1 else Decimal(0)
    p_n = min(s, Decimal(1)) / k
    p_t = 1 - (k - 1) * p_n
    mixed = (p_t - p_n) * (1 - p_t + p_n)
    beta = (a * (lw / (n * lh)).sqrt()).sqrt()
    alpha = (a * (lh * n / lw).sqrt()).sqrt() / root
    c = lz if s < 1 else (1 - delta) / (k * root)
    rank, base, penalties = (beta, alpha), p_n / k, (lw, lh)
    blocks = {
        "rotations out of the span": dense(rank, Decimal(0), penalties, -c),
        "within class, non-target": dense((alpha,), base, (lh,), 0),
        "within class, target": dense((alpha,), p_t * p_n, (lh,), 0),
        "logit scale": dense(rank, base + mixed * (k - 1) / k**2, penalties, -c),
    }
    if k == 2:
        return blocks | {"class norms": dense((alpha,), base + mixed / 4, (lh,), 0)}
    norms = dense(
        ((1 - 2 / k).sqrt() * beta, (1 - 2 / k).sqrt() * alpha, alpha / k.sqrt()),
        mixed / k,
        (base * beta**2 + lw, base * alpha**2 + lh, base * alpha**2 + lh),
        base * beta * alpha - c,
    )
    return blocks | {
        "rotations in the span": dense(rank, base, penalties, c),
        "class pairs, symmetric": dense(rank, base, penalties, -c),
        "class norms": norms,
    }


def invariants(matrix):
    """Trace, sum of the principal 2 x 2 minors, determinant."""
    size = len(matrix)
    pairs = list(itertools.combinations(range(size), 2))
    minors = sum(matrix[i][i] * matrix[j][j] - matrix[i][j] * matrix[j][i] for i, j in pairs)
    found = [sum(matrix[i][i] for i in range(size)), minors]
    if size == 3:
        (a, b, c), (_, e, f), (_, _, i) = matrix
        found.append(a * (e * i - f * f) - b * (b * i - f * c) + c * (b * f - e * c))
    return found[:size]


@pytest.mark.parametrize("case", CORNERS)
def test_every_eigenvalue_keeps_its_digits_in_the_extreme_corners(case):
    problem = problem_of(case)
    spectrum = ufm.joint_spectrum(problem)
    with localcontext() as context:
        context.prec = 400
        for name, matrix in exact_blocks(problem).items():
            values = [Decimal(entry.value) for entry in spectrum if entry.block == name]
            if not values:
                continue  # of multiplicity 0 here
            diagonal = [
                [v if i == j else 0 for j in range(len(values))] for i, v in enumerate(values)
            ]
            pairs = zip(invariants(diagonal), invariants(matrix), strict=True)
            for found, expected in pairs:
                if abs(expected) < Decimal("1e-350"):
                    assert found == 0  # the rotations: zero, not nearly
                else:
                    assert abs(found / expected - 1) < Decimal("1e-12"), name


@pytest.mark.parametrize("case", CORNERS)
def test_minimiser_and_condition_numbers_keep_their_digits_in_the_extreme_corners(case):
    problem = problem_of(case)
    report = ufm.analyze(problem)
    with localcontext() as context:
        context.prec = 400
        k, n = Decimal(problem.num_classes), Decimal(problem.per_class)
        pull = k * (n * Decimal(problem.lambda_w) * Decimal(problem.lambda_h)).sqrt()
        delta = Decimal(problem.label_smoothing)
        s = min(delta + pull, Decimal(1))
        a, p_t = (k / s - k + 1).ln(), 1 - s + s / k
        expected = {
            "logit_scale": a,
            "p_target": p_t,
            "p_other": s / k,
            "kappa_regularised": 1 + a * p_t * s / pull,
            "loss": -p_t.ln() + delta * (1 - 1 / k) * a,
        }
        if s < 1 and k > 2:
            expected["kappa_loss"] = k * p_t
        for name, value in expected.items():
            assert getattr(report, name) == pytest.approx(float(value), rel=1e-13), name
