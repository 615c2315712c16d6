"""The closed form against dense Hessians, and its condition numbers against their definitions."""

from __future__ import annotations

import math

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


def test_the_cost_does_not_grow_with_the_problem():
    report = ufm.analyze(problem_of((10_000, 1_000_000, 20_000, 0.1, 1e-9, 1e-12)))
    total = sum(entry.multiplicity for entry in report.spectrum)
    assert total == (10_000 + 10_000 * 1_000_000) * 20_000
    assert math.isfinite(report.kappa_joint)


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
