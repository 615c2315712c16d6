"""The measured Hessian where it is hard: confident, saturated, clustered, huge, unfinished."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference
from conftest import checkpoint, make_runs, network
from test_ufm import point_at_minimum, problem_of

from nccli import hessian
from nccli.checkpoint import Checkpoint, Metadata
from nccli.cli.app import run
from nccli.errors import ContentError
from nccli.hdf5 import read_checkpoint
from nccli.hessian import davidson
from nccli.hessian.curvature import curve, gradients
from nccli.hessian.density import density_of
from nccli.hessian.feature_block import block_eigenvalues, centred_factor, feature_block
from nccli.hessian.layer import open_layer, softmax_rows, survey
from nccli.hessian.majorant import exceeding, is_below
from nccli.hessian.quadrature import lanczos, rules
from nccli.hessian.smallest import extremes
from nccli.hessian.weight_block import largest, weight_product, weight_trace


@pytest.mark.parametrize("gap", [3.0, 10.0, 16.0, 22.0, 27.6])  # 1 - p from 1e-1 to 1e-12
def test_single_precision_curvature_keeps_its_digits_down_to_a_doubt_of_1e_12(gap):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 10))
    logits[np.arange(200), rng.integers(0, 10, size=200)] += gap
    changes = rng.normal(size=(200, 1, 10))
    p, top = softmax_rows(logits.copy())
    exact = np.einsum("nkl,nbl->nbk", reference.softmax_curvatures(p), changes)
    found = curve(p.astype(np.float32), top, changes.astype(np.float32))
    sizes = np.linalg.norm(exact, axis=2)
    errors = np.linalg.norm(found - exact, axis=2) / sizes
    assert np.median(errors) < 1.5e-7
    assert errors.max() < 2e-6  # where the change nearly vanishes between the classes that count


def test_gradients_are_those_of_the_smoothed_loss_without_cancellation():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(50, 6)) * 12
    labels = rng.integers(0, 6, size=50)
    p, top = softmax_rows(logits.copy())
    for delta in (0.0, 0.1):
        found = gradients(p, top, labels, delta)
        plain = reference.softmax_rows(logits) - reference.smoothed_targets(labels, 6, delta)
        np.testing.assert_allclose(found, plain, atol=3e-16)
    confident = np.array([[40.0, 0.0, -1.0]])
    p, top = softmax_rows(confident.copy())
    others = np.exp([-40.0, -41.0])
    own = gradients(p, top, np.array([0]), 0.0)[0, 0]
    assert own == pytest.approx(-others.sum() / (1 + others.sum()), rel=1e-14)


def test_multiple_eigenvalues_are_found_as_often_as_they_are_there():
    problem = problem_of((5, 8, 7, 0.1, 5e-3, 1e-3))
    weight, features, labels = point_at_minimum(problem)
    metadata = Metadata(label_smoothing=0.1, weight_decay=5e-3, feature_decay=1e-3)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, metadata=metadata)
    report = hessian.analyze(point, top=16)
    for name in ("w", "h", "joint", "joint_regularised"):
        theory = getattr(report, f"theory_spectrum_{name}")
        expected = [one.value for one in theory for _ in range(min(one.multiplicity, 16))]
        found = [one.value for one in getattr(report, f"spectrum_{name}")]
        np.testing.assert_allclose(found, expected[:16], rtol=1e-8, err_msg=name)


def test_what_has_not_converged_says_so_and_keeps_its_interval(tmp_path, capsys):
    point = checkpoint(2, test=False, num_classes=7, dim=30, count=200, gain=0.2)
    report = hessian.analyze(point, max_passes=1)
    truth = hessian.analyze(point)
    assert report.status == "not converged"
    assert any("lambda_max_w did not converge" in note for note in report.notes)
    assert report.lambda_max_w_error > 1e-6 * report.lambda_max_w
    assert abs(report.lambda_max_w - truth.lambda_max_w) <= report.lambda_max_w_error
    make_runs(tmp_path, epochs=(1,))
    path = str(next(tmp_path.glob("*ce*")))
    assert run(["hessian", path, "--format", "json", "--no-cache"]) == 0
    patch = pytest.MonkeyPatch()
    with patch.context() as inside:
        inside.setattr("nccli.hessian.weight_block.SMALL_SIZE", 2)
        assert run(["hessian", path, "--max-passes", "1", "--no-cache", "-f", "json"]) == 4
    capsys.readouterr()


def test_a_matrix_that_is_too_large_for_exact_is_refused_by_name():
    point = checkpoint(0, test=False, num_classes=9, dim=900, count=40)
    with pytest.raises(ContentError, match=r"K d = 8,100 variables, and --exact forms .* 8,000"):
        hessian.analyze(point, exact=True)


def test_exact_gives_every_eigenvalue_of_the_w_block_off_the_gauge():
    point = checkpoint(4, test=False, num_classes=4, dim=6, count=60, gain=0.2)
    report = hessian.analyze(point, exact=True)
    part = point.splits["train"]
    weight, bias = point.classifier.arrays()
    dense = reference.weight_block(weight, part.features.load(), bias)
    values = np.linalg.eigvalsh(dense)[::-1][: 3 * 6]
    np.testing.assert_allclose([one.value for one in report.spectrum_w], values, atol=1e-13)


def test_no_digit_depends_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr("nccli.collapse.spans.SPAN_BYTES", 2_000)
    point = checkpoint(3, test=False, count=400, gain=0.2)
    options = {"top": 3, "density": ("w", "h"), "smallest": True, "hierarchy": True}
    assert hessian.analyze(point, threads=1, **options) == hessian.analyze(
        point, threads=3, **options
    )


def test_repeating_all_rows_changes_nothing_but_the_h_block():
    features, labels, weight, bias = network(3, gain=0.2)
    one = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, bias=bias)
    two = Checkpoint.from_arrays(
        {"train": (np.tile(features, (2, 1)), np.tile(labels, 2))}, weight=weight, bias=bias
    )
    first, second = hessian.analyze(one), hessian.analyze(two)
    for name in ("lambda_max_w", "trace_w", "trace_h", "kappa_means_w", "kappa_h_median"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-9), name
    assert second.lambda_max_h == pytest.approx(first.lambda_max_h / 2, rel=1e-9)


@pytest.mark.parametrize("single", [False, True])
def test_a_bias_is_a_feature_that_is_always_one(single):
    dtype = np.float32 if single else np.float64
    features, labels, weight, bias = network(5, gain=0.2)
    ones = np.ones((len(features), 1))
    widened = np.hstack([features, ones]).astype(dtype)
    plain = Checkpoint.from_arrays(
        {"train": (features.astype(dtype), labels)}, weight=weight, bias=bias
    )
    wide = Checkpoint.from_arrays(
        {"train": (widened, labels)}, weight=np.hstack([weight, bias[:, None]])
    )
    first, second = hessian.analyze(plain, with_bias=True), hessian.analyze(wide)
    assert first.bias_included
    assert first.lambda_max_w == pytest.approx(second.lambda_max_w, rel=1e-6 if single else 1e-12)
    assert first.null_modes_w == second.null_modes_w == features.shape[1] + 1


def test_saturated_in_single_precision_is_worked_on_in_double(monkeypatch):
    monkeypatch.setattr("nccli.collapse.centres.SMALL", 0)
    features, labels, weight, bias = network(3)
    point = Checkpoint.from_arrays(
        {"train": (features.astype(np.float32), labels)}, weight=weight * 30, bias=bias
    )
    report = hessian.analyze(point)
    assert 0 < report.mean_doubt < 1e-20
    assert report.lambda_max_w > 0
    assert report.status == "converged"


def test_all_zero_features_have_no_curvature_in_w():
    labels = np.arange(30) % 3
    point = Checkpoint.from_arrays({"train": (np.zeros((30, 4)), labels)}, weight=np.eye(3, 4))
    report = hessian.analyze(point, top=2, density=("w",), hierarchy=True, smallest=True)
    assert report.lambda_max_w == report.trace_w == report.lambda_min_w == 0.0
    assert report.trace_h > 0
    assert [(one.low, one.share) for one in report.density_w] == [(None, 1.0)]


def test_a_class_without_samples_leaves_the_blocks_alone():
    features, labels, weight, bias = network(1, num_classes=5, gain=0.2)
    kept = labels != 3
    point = Checkpoint.from_arrays(
        {"train": (features[kept], labels[kept])}, weight=weight, bias=bias,
        metadata=Metadata(label_smoothing=0.1, weight_decay=1e-3),
    )  # fmt: skip
    report = hessian.analyze(point, hierarchy=True)
    dense = reference.weight_block(weight, features[kept], bias)
    assert report.lambda_max_w == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-10)
    assert [one.label for one in report.kappa_h_classes] == [0, 1, 2, 4]
    assert report.kappa_means_w is not None


def test_papyans_parts_are_those_of_the_definition():
    features, labels, weight, bias = network(6, gain=0.15, balanced=False)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, bias=bias)
    report = hessian.analyze(point, hierarchy=True)
    expected = reference.hierarchy(weight, features, labels, bias)
    for name, value in expected.items():
        assert getattr(report, f"trace_w_{name}") == pytest.approx(value, rel=1e-9), name


def test_the_iteration_finds_the_smallest_eigenvalue_that_the_dense_matrix_has(monkeypatch):
    point = checkpoint(7, test=False, num_classes=5, dim=12, count=300, gain=0.15)
    layer, _ = survey(open_layer(point, "train"))
    dense = extremes(layer)
    monkeypatch.setattr("nccli.hessian.smallest.DENSE_SIZE", 10)
    found = extremes(layer)
    assert found.converged
    assert found.smallest == pytest.approx(dense.smallest, rel=1e-5)
    assert abs(found.smallest - dense.smallest) <= found.smallest_error + dense.smallest_error
    assert found.largest == pytest.approx(dense.largest, rel=1e-9)


def test_the_condition_on_the_means_is_the_same_by_either_way(monkeypatch):
    point = checkpoint(8, test=False, num_classes=6, dim=10, count=200, gain=0.15)
    dense = hessian.analyze(point).kappa_means_w
    monkeypatch.setattr("nccli.hessian.smallest.DENSE_SIZE", 10)
    assert hessian.analyze(point).kappa_means_w == pytest.approx(dense, rel=1e-5)


def test_products_do_not_keep_probabilities_where_these_are_large(monkeypatch):
    point = checkpoint(9, test=False, count=200, gain=0.2)
    layer, _ = survey(open_layer(point, "train"))
    monkeypatch.setattr("nccli.hessian.layer.KEPT_BYTES", 0)
    lean, _ = survey(open_layer(point, "train"))
    assert lean.kept_NK is None
    vectors = np.random.default_rng(0).normal(size=(2, 5, 8))
    np.testing.assert_allclose(
        weight_product(lean, vectors), weight_product(layer, vectors), rtol=1e-12
    )
    assert largest(lean).values[0] == pytest.approx(largest(layer).values[0], rel=1e-12)
    assert weight_trace(lean) == pytest.approx(weight_trace(layer), rel=1e-13)


def test_stored_logits_count_where_there_are_some():
    features, labels, weight, bias = network(2, gain=0.2)
    logits = features @ weight.T + bias
    stored = Checkpoint.from_arrays({"train": (features, labels, logits)}, weight=weight)
    computed = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight, bias=bias)
    for name in ("lambda_max_w", "lambda_max_joint", "trace_h", "kappa_h_p90"):
        one, two = (getattr(hessian.analyze(point), name) for point in (stored, computed))
        assert one == pytest.approx(two, rel=1e-9), name


def test_lanczos_quadrature_integrates_polynomials_exactly():
    rng = np.random.default_rng(0)
    values = np.sort(rng.uniform(0.1, 3, size=40))
    basis = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    matrix = (basis * values) @ basis.T
    start = rng.normal(size=(3, 40))
    seen = lanczos(lambda vectors: vectors @ matrix, start, steps=6)
    nodes, weights = rules(seen)
    unit = start / np.linalg.norm(start, axis=1, keepdims=True)
    for power in range(12):
        exact = [v @ np.linalg.matrix_power(matrix, power) @ v for v in unit]
        found = [(n**power) @ w for n, w in zip(nodes, weights, strict=True)]
        np.testing.assert_allclose(found, exact, rtol=1e-10)
    density = density_of(seen, size=40, resolution=1e-13)
    assert density.shares.sum() + density.below == pytest.approx(1)
    assert density.mean == pytest.approx(np.mean([v @ matrix @ v for v in unit]), rel=1e-10)


def test_davidson_restarts_when_the_search_space_is_full(monkeypatch):
    monkeypatch.setattr(davidson, "BASIS_BYTES", 1)
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    values = np.r_[np.linspace(0, 1, 58), 1.2, 1.3]
    matrix = (basis * values) @ basis.T
    found = davidson.largest(
        lambda v: v @ matrix, rng.normal(size=(2, 60)), wanted=2, tolerance=1e-8, max_passes=200
    )
    assert found.converged
    np.testing.assert_allclose(found.values_B, [1.3, 1.2], rtol=1e-12)


def test_the_decay_of_nc1_stands_beside_the_predicted_rates(tmp_path):
    from nccli.hessian_rates import decays

    make_runs(tmp_path, epochs=(1, 10, 100))
    files = sorted(tmp_path.glob("*/checkpoints/*.h5"))
    results = [hessian.analyze(read_checkpoint(file), path=str(file)) for file in files]
    rows = decays(results)
    assert [(row.epoch_from, row.epoch_to) for row in rows] == [(1, 10), (10, 100)] * 2
    first = rows[0]
    assert first.nc1_decay == pytest.approx((results[1].nc1 / results[0].nc1) ** (1 / 9))
    assert first.rate_means_w == pytest.approx(1 - 1 / results[1].kappa_means_w)
    broken = decays([dataclasses.replace(results[0], nc1=None), results[1]])
    assert broken[0].nc1_decay is None
    assert "undefined" in broken[0].notes[0]


def test_rows_are_watched_in_every_pass():
    point = checkpoint(3, test=False, count=120, gain=0.2)
    seen = []
    report = hessian.analyze(point, watch=seen.append)
    assert report == hessian.analyze(point)
    assert sum(seen) % 120 == 0
    assert sum(seen) >= 10 * 120


def test_runs_are_told_apart_in_whatever_order_they_come():
    from nccli.hessian_rates import decays

    def result(epoch, delta, split):
        point = checkpoint(epoch, delta=delta, test=False, gain=0.2)
        found = hessian.analyze(point, path=f"loose/{epoch}-{delta}.h5")
        return dataclasses.replace(found, epoch=epoch, split=split, seed=0)

    order = [(1, 0.05, "train"), (1, 0.1, "test"), (5, 0.05, "train"), (5, 0.1, "test")]
    rows = decays([result(*one) for one in order])
    found = [(row.label_smoothing, row.split, row.epoch_from, row.epoch_to) for row in rows]
    assert found == [(0.05, "train", 1, 5), (0.1, "test", 1, 5)]


def test_single_precision_does_not_miss_a_direction_that_the_class_means_lack(monkeypatch):
    monkeypatch.setattr("nccli.collapse.centres.SMALL", 0)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    features = np.zeros((120, 24), np.float32)
    features[:, :3] = np.eye(3)[labels] + 0.01 * rng.normal(size=(120, 3))
    features[:, 20] = 4.0 * np.tile([1, -1], 60)  # no class mean has it, nor does the weight
    weight = np.zeros((3, 24))
    weight[:, :3] = np.eye(3)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    dense = reference.weight_block(weight, features.astype(np.float64))
    largest_of_all = np.linalg.eigvalsh(dense)[-1]
    assert hessian.analyze(point).lambda_max_w == pytest.approx(largest_of_all, rel=1e-7)


def test_one_class_and_numbers_without_a_square_are_refused():
    one = Checkpoint.from_arrays(
        {"train": (np.ones((4, 2)), np.zeros(4, int))}, weight=np.ones((1, 2))
    )
    with pytest.raises(ContentError, match="one class"):
        hessian.analyze(one, density=("w",))
    features, labels, weight, _ = network(1)
    huge = Checkpoint.from_arrays({"train": (features * 1e90, labels)}, weight=weight * 1e-90)
    with pytest.raises(ContentError, match="too large to square"):
        hessian.analyze(huge)


def test_many_classes_are_solved_row_by_row_to_the_same_numbers(monkeypatch):
    point = checkpoint(3, test=False, count=60, gain=0.2)
    whole = hessian.analyze(point)
    monkeypatch.setattr("nccli.hessian.feature_block.WIDE_RANK", 1)
    row_by_row = hessian.analyze(point)
    for name in ("lambda_max_h", "kappa_h_median", "kappa_means_w"):
        assert getattr(row_by_row, name) == pytest.approx(getattr(whole, name), rel=1e-9), name


def test_what_would_take_gigabytes_or_hours_is_left_out_by_name(monkeypatch):
    point = checkpoint(3, test=False, count=60, gain=0.2)
    monkeypatch.setattr("nccli.hessian.smallest.DENSE_SIZE", 2)
    monkeypatch.setattr("nccli.hessian.means.MAX_WORK", 10)
    report = hessian.analyze(point)
    assert report.kappa_means_w is None
    assert any("minutes to hours" in note for note in report.notes)
    monkeypatch.setattr("nccli.hessian.analysis.TOP_BYTES", 1_000)
    with pytest.raises(ContentError, match="--top 30 vectors"):
        hessian.analyze(point, top=30)


def many_classes(*, scale, noise, count=900, num_classes=60, dim=72, spread=0.0):
    """A network of many classes: features, labels and weight as large files have them."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % num_classes
    sizes = rng.lognormal(0, spread, size=(num_classes, 1))
    means = sizes * rng.normal(size=(num_classes, dim))
    features = means[labels] + noise * sizes[labels] * rng.normal(size=(count, dim))
    return features, labels, means * scale / dim


def dense_on_means(features, labels, weight):
    """The W block on the class means from K^2 / 2 weighed moments of the inputs."""
    classes = len(weight)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    basis = np.linalg.svd(means - means.mean(axis=0))[2][: classes - 1]
    seen, p = features @ basis.T, reference.softmax_rows(features @ weight.T)
    turn, size = np.linalg.svd(np.ones((1, classes)))[2][1:].T, classes - 1
    block = np.zeros((classes, size, classes, size))
    for j in range(classes):
        for k in range(j, classes):
            weights = p[:, j] * ((j == k) - p[:, k])
            block[j, :, k] = block[k, :, j] = (seen * weights[:, None]).T @ seen / len(p)
    return np.einsum("jrks,ja,kb->arbs", block, turn, turn, optimize=True).reshape(size * size, -1)


@pytest.mark.parametrize(
    ("scale", "noise", "spread"), [(8.0, 0.3, 0.0), (2.0, 1.5, 0.0), (6.0, 0.5, 0.5)]
)
@pytest.mark.parametrize("single", [False, True])
def test_the_condition_on_the_means_of_forty_classes_is_that_of_the_dense_matrix(
    monkeypatch, scale, noise, spread, single
):
    monkeypatch.setattr("nccli.collapse.centres.SMALL", 0 if single else 2**22)
    features, labels, weight = many_classes(scale=scale, noise=noise, spread=spread, num_classes=40)
    dtype = np.float32 if single else np.float64
    features, weight = features.astype(dtype), weight.astype(dtype)
    dense = dense_on_means(features.astype(np.float64), labels, weight.astype(np.float64))
    values = np.linalg.eigvalsh(dense)
    truth = values[-1] / values[0]
    monkeypatch.setattr("nccli.hessian.smallest.DENSE_SIZE", 100)
    report = hessian.analyze(Checkpoint.from_arrays({"train": (features, labels)}, weight=weight))
    assert report.status == "converged"
    assert report.kappa_means_w == pytest.approx(truth, rel=1e-5)
    assert 1e-6 * truth < report.kappa_means_w_error < 1e-3 * truth
    assert abs(report.kappa_means_w - truth) <= report.kappa_means_w_error


def test_no_eigenvalue_on_the_means_of_sixty_classes_is_smaller_than_what_is_found():
    features, labels, weight = many_classes(scale=8.0, noise=0.3)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    report = hessian.analyze(point)
    assert report.status == "converged"
    dense = dense_on_means(features, labels, weight)
    rng = np.random.default_rng(0)
    start = rng.normal(size=(2, len(dense)))
    peak = davidson.largest(
        lambda v: v @ dense, start, wanted=1, tolerance=1e-8, max_passes=200
    ).values_B[0]
    smallest = peak / report.kappa_means_w
    ones = np.eye(len(dense))
    np.linalg.cholesky(dense - (1 - 1e-6) * smallest * ones)  # positive definite
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(dense - (1 + 1e-6) * smallest * ones)


def test_a_smallest_eigenvalue_that_is_zero_is_found_as_zero(monkeypatch):
    monkeypatch.setattr("nccli.hessian.smallest.DENSE_SIZE", 10)
    features, labels, weight, bias = network(7, num_classes=5, dim=12, gain=0.15)
    features[:, 4] = 0.0  # a dead feature
    for dtype in (np.float64, np.float32):
        monkeypatch.setattr("nccli.collapse.centres.SMALL", 0 if dtype == np.float32 else 2**22)
        point = Checkpoint.from_arrays(
            {"train": (features.astype(dtype), labels)}, weight=weight, bias=bias
        )
        report = hessian.analyze(point, smallest=True)
        assert report.status == "converged"
        assert report.lambda_min_w <= 1e-12 * report.lambda_max_w


def all_feature_eigenvalues(features, weight):
    p = reference.softmax_rows(features @ weight.T)
    return np.linalg.eigvalsh(
        np.einsum("ka,nkl,lb->nab", weight, reference.softmax_curvatures(p), weight, optimize=True)
    )


@pytest.mark.parametrize("scale", [0.5, 2.0, 6.0, 12.0])
@pytest.mark.parametrize("top", [1, 5])
def test_the_largest_h_eigenvalue_is_proven_where_few_rows_are_solved(monkeypatch, scale, top):
    monkeypatch.setattr("nccli.hessian.feature_block.WORK", 10 * 60**3)
    monkeypatch.setattr("nccli.hessian.feature_block.FEWEST", 10)
    features, labels, weight = many_classes(scale=scale, noise=1.0, dim=20, count=600)
    values = np.sort(all_feature_eigenvalues(features, weight).ravel())[::-1][:top]
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    found = feature_block(survey(open_layer(point, "train"))[0], top)
    assert len(found.rows) == 10
    np.testing.assert_allclose(found.peaks_B, values, rtol=2e-4)
    assert np.all(found.peaks_B <= values * (1 + 1e-12))
    assert np.all(values <= found.bounds_B * (1 + 1e-12))
    assert found.bounds_B[-1] <= found.peaks_B[-1] * 1.000101


def test_an_early_epoch_of_sixty_classes_converges(monkeypatch):
    monkeypatch.setattr("nccli.hessian.feature_block.WORK", 200 * 60**3)
    features, labels, weight = many_classes(scale=1.0, noise=1.0, dim=20, count=600)
    point = Checkpoint.from_arrays({"train": (features, labels)}, weight=weight)
    report = hessian.analyze(point)
    assert report.status == "converged"
    assert 0 < report.lambda_max_h_error <= 1.0001e-4 * report.lambda_max_h
    values = all_feature_eigenvalues(features, weight) / len(features)
    assert report.lambda_max_h == pytest.approx(values.max(), rel=1e-12)


def test_what_is_below_a_ceiling_is_so_for_every_row_of_a_group():
    rng = np.random.default_rng(0)
    factor, _ = centred_factor(rng.normal(size=(12, 7)))
    for sharpness in (0.1, 1.0, 3.0, 9.0):
        logits = sharpness * rng.normal(size=(40, 12))
        p, top = softmax_rows(logits.copy())
        values = block_eigenvalues(p, top, factor)[:, -1]
        for row in range(40):
            assert is_below(p[row], int(top[row]), factor, values[row] * (1 + 1e-9))
            assert not is_below(p[row], int(top[row]), factor, values[row] * (1 - 1e-9))
        for ceiling in np.quantile(values, [0.2, 0.5, 0.9]):
            above, tests = exceeding(p, top, factor, ceiling * (1 + 1e-4), 10**6)
            assert set(np.flatnonzero(values > ceiling * (1 + 1e-4))) <= set(above)
            assert set(above) <= set(np.flatnonzero(values >= ceiling))
            assert list(exceeding(p, top, factor, ceiling, 0)[0]) == list(range(40))
            assert tests <= 80


def test_a_condition_number_of_h_that_a_sample_cannot_tell_says_so(monkeypatch):
    monkeypatch.setattr("nccli.hessian.feature_block.WORK", 500 * 5**3)
    features, labels, weight, bias = network(1, num_classes=5, dim=3, count=900, gain=0.2)
    point = Checkpoint.from_arrays(
        {"train": (features, labels)}, weight=weight, bias=bias,
        metadata=Metadata(weight_decay=1e-3, feature_decay=1e-3),
    )  # fmt: skip
    report = hessian.analyze(point)
    assert report.kappa_regularised_h is None
    assert any("kappa_regularised_h is left out: not all" in note for note in report.notes)
