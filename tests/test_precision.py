"""The fast passes against float64: every precision, layout, size of block and number of threads."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
import reference
from conftest import network, simplex

from nccli import collapse, hdf5
from nccli.checkpoint import Checkpoint, Metadata
from nccli.errors import ContentError, FormatError

METRICS = (
    "accuracy loss nc1 nc1_train_means nc2_features nc2_classifier nc2_duality "
    "nc2_equinorm_features nc2_equiangular_features nc3 nc4 cdnv weight_norm feature_norm "
    "nontarget_logit_spread"
).split()


@pytest.fixture
def single_precision(monkeypatch):
    """Work in float32 however little there is; as for a large file."""
    monkeypatch.setattr("nccli.collapse.centres.SMALL", 0)


def drawn(seed=0, *, num_classes=10, dim=64, count=20_000, noise=0.3, dtype=np.float32):
    """Post-ReLU features around class centres, a classifier with a bias, labels in any order."""
    rng = np.random.default_rng(seed)
    centres = np.maximum(rng.normal(size=(num_classes, dim)), 0)
    labels = rng.integers(num_classes, size=count)
    features = np.maximum(centres[labels] + noise * rng.normal(size=(count, dim)), 0).astype(dtype)
    weight = centres - centres.mean(axis=0) + 0.1 * rng.normal(size=centres.shape)
    return features, labels, weight.astype(np.float32), rng.normal(size=num_classes)


def held(splits, weight=None, bias=None, delta=0.05):
    return Checkpoint.from_arrays(
        splits, weight=weight, bias=bias, metadata=Metadata(label_smoothing=delta)
    )


def in_double(features, labels, weight, bias):
    """The same checkpoint with its numbers as float64: the slow and certain way."""
    wide = [array.astype(np.float64) for array in (features, weight, bias)]
    return held({"train": (wide[0], labels)}, wide[1], wide[2])


def values(report, names=METRICS):
    return {name: getattr(report, name) for name in names}


# --- precision ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize(
    "options",
    [
        {"seed": 0},
        {"seed": 1, "noise": 0.02},
        {"seed": 2, "num_classes": 100, "dim": 40},  # d < K - 1
        {"seed": 3, "num_classes": 2, "dim": 5},
        {"seed": 4, "num_classes": 300, "dim": 128, "count": 9_000, "noise": 0.6},
        {"seed": 5, "dtype": np.float16},
        {"seed": 6, "noise": 2.0},
    ],
)
def test_single_precision_work_has_the_digits_of_double(options):
    arrays = drawn(**options)
    fast = collapse.analyze(held({"train": arrays[:2]}, *arrays[2:]))
    exact = collapse.analyze(in_double(*arrays))
    assert fast.nc1 == pytest.approx(exact.nc1, rel=1e-8)
    for name, value in values(exact).items():
        assert getattr(fast, name) == pytest.approx(value, rel=1e-7, abs=1e-12), name


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize(("noise", "digits"), [(1e-2, 1e-7), (1e-4, 1e-6), (1e-5, 1e-5)])
def test_nc1_keeps_its_digits_down_to_1e_11(noise, digits):
    features, labels, weight = simplex(num_classes=10, dim=64, per_class=500, scale=10.0)
    rng = np.random.default_rng(1)
    noisy = (5.0 + features + noise * rng.normal(size=features.shape)).astype(np.float32)
    report = collapse.analyze(held({"train": (noisy, labels)}, weight))
    expected = reference.nc1(noisy.astype(np.float64), labels)
    assert (expected < 1e-11) == (noise == 1e-5)
    assert report.nc1 == pytest.approx(expected, rel=digits)


@pytest.mark.usefixtures("single_precision")
def test_a_few_far_rows_do_not_cost_digits():
    features, labels, weight, bias = drawn(7, noise=0.01)
    far = np.arange(0, len(labels), 400)
    features[far] = features[far - 1]  # another class's features: mislabelled
    fast = collapse.analyze(held({"train": (features, labels)}, weight, bias))
    exact = collapse.analyze(in_double(features, labels, weight, bias))
    assert fast.nc1 == pytest.approx(exact.nc1, rel=1e-8)


def by_class(features, labels, weight, bias):
    """The rows sorted by class, as many data sets lie on disk."""
    order = np.argsort(labels, kind="stable")
    return features[order], labels[order], weight, bias


def shifted(offset, features, labels, weight, bias):
    moved = (features + np.float32(offset)).astype(np.float32)
    return moved, labels, weight, bias - offset * weight.astype(np.float64).sum(axis=1)


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize(
    "arrays",
    [
        by_class(*drawn(20, count=30_000)),
        by_class(*drawn(21, num_classes=100, dim=64, count=30_000)),
        shifted(100.0, *drawn(22)),
        by_class(*shifted(1e4, *drawn(23, num_classes=26, dim=25))),
    ],
    ids=["sorted", "sorted, 100 classes", "offset 100", "offset 10,000, sorted"],
)
def test_neither_the_order_of_rows_nor_a_common_offset_costs_digits(arrays):
    features, labels, _, _ = arrays
    fast = collapse.analyze(held({"train": arrays[:2]}, *arrays[2:]))
    wide = features.astype(np.float64)
    centred = reference.centred_means(wide, labels)
    assert fast.nc1 == pytest.approx(reference.nc1(wide, labels), rel=2e-8)
    assert fast.nc2_features == pytest.approx(reference.etf_distance(centred @ centred.T), rel=1e-7)
    assert fast.cdnv == pytest.approx(reference.cdnv(wide, labels), rel=1e-7)


@pytest.mark.usefixtures("single_precision")
def test_two_classes_of_the_same_rows_lower_the_rank_and_make_cdnv_undefined():
    features, labels, weight, bias = drawn(24, count=4_000)
    kept = labels != 9
    first = features[labels == 0]
    twice = np.concatenate([features[kept], first[::-1]])
    both = np.concatenate([labels[kept], np.full(len(first), 9)])
    report = collapse.analyze(held({"train": (twice, both)}, weight, bias))
    assert report.rank == 8
    assert report.nc1 < 10
    assert report.cdnv is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_of_stored_features_is_no_direction_between_classes(dtype):
    rng = np.random.default_rng(25)
    labels = np.arange(4_000) % 20
    inner = 3.0 * rng.normal(size=(20, 5))[labels] + 0.3 * rng.normal(size=(4_000, 5))
    features = (inner @ rng.normal(size=(5, 64))).astype(dtype)
    report = collapse.analyze(held({"train": (features, labels)}))
    assert report.rank == 5
    assert report.nc1 < 1


def test_what_leaves_the_range_of_numbers_is_undefined_and_told():
    features, labels, weight, bias = drawn(26, count=300)
    tiny = collapse.analyze(held({"train": (features.astype(np.float64) * 1e-170, labels)}))
    assert tiny.nc1 is None
    assert tiny.notes
    point = held({"train": (features.astype(np.float64) * 1e100, labels)}, weight * 1e30, bias)
    assert collapse.analyze(point).nc1 is not None


@pytest.mark.usefixtures("single_precision")
def test_a_few_rows_beyond_the_squares_of_float32_are_measured_in_double():
    features, labels, weight, bias = drawn(27, count=3_000)
    features[:2] = [[3e25], [-3e25]]
    labels[:2] = 0
    report = collapse.analyze(held({"train": (features, labels)}, weight, bias))
    assert report.feature_norm == pytest.approx(
        np.linalg.norm(features.astype(np.float64), axis=1).mean(), rel=1e-7
    )


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 3e37])
def test_a_scale_at_the_ends_of_float32_changes_no_shape(scale):
    features, labels, weight, bias = drawn(8, count=3_000)
    one = collapse.analyze(held({"train": (features, labels)}, weight, bias))
    two = collapse.analyze(
        held(
            {"train": (features * np.float32(scale), labels)},
            weight.astype(np.float64) / scale,
            bias,
        )
    )
    for name in ("nc1", "nc2_features", "nc3", "nc4", "cdnv", "accuracy", "loss"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-4), name


# --- blocks, threads, weights -------------------------------------------------------------------


@pytest.mark.parametrize("rows", [7, 64, 1000])
def test_nothing_sees_the_size_of_blocks_and_spans(rows, monkeypatch):
    arrays = drawn(9, count=3_000)
    point = in_double(*arrays)
    whole = collapse.analyze(point)
    monkeypatch.setattr("nccli.collapse.spans.BLOCK_BYTES", 64 * 8 * rows)
    monkeypatch.setattr("nccli.collapse.spans.SPAN_BYTES", 64 * 8 * 3 * rows)
    for name, value in values(collapse.analyze(point)).items():
        assert getattr(whole, name) == pytest.approx(value, rel=1e-11, abs=1e-13), name


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_does_not_change_a_bit(threads, monkeypatch):
    monkeypatch.setattr("nccli.collapse.spans.SPAN_BYTES", 2**18)
    features, labels, weight, bias = drawn(10)
    point = held(
        {
            "train": (features[:15_000], labels[:15_000]),
            "test": (features[15_000:], labels[15_000:]),
        },
        weight,
        bias,
    )
    for split in ("train", "test"):
        one = collapse.analyze(point, split=split, threads=1)
        assert collapse.analyze(point, split=split, threads=threads) == one


def test_weights_count_a_sample_as_often_as_it_would_stand_in_the_file():
    from nccli.collapse.measurement import measure

    features, labels, weight, bias = network(3, count=120)
    times = np.random.default_rng(0).integers(0, 3, size=120)
    point = held({"train": (features, labels)}, weight, bias)
    repeated = held(
        {"train": (np.repeat(features, times, axis=0), np.repeat(labels, times))}, weight, bias
    )
    weighted = measure(point, "train", weights=times.astype(np.float64))
    one = collapse.report(point, weighted, split="train", path=None)
    for name, value in values(collapse.analyze(repeated)).items():
        assert getattr(one, name) == pytest.approx(value, rel=1e-10, abs=1e-13), name
    assert one.n == times.sum()


@pytest.mark.parametrize("stored", [False, True])
def test_leaving_out_the_loss_changes_nothing_else(stored):
    features, labels, weight, bias = drawn(11, count=3_000, noise=0.8)
    logits = features @ weight.T + bias
    arrays = (features, labels, logits.astype(np.float32)) if stored else (features, labels)
    point = held({"train": arrays}, weight, bias)
    full, fast = collapse.analyze(point), collapse.analyze(point, every_logit=False)
    assert fast.loss is None
    assert fast.nontarget_logit_spread is None
    assert full.loss is not None
    same = dataclasses.replace(full, loss=None, nontarget_logit_spread=None, notes=fast.notes)
    assert fast == same


# --- the shortcut to NC4 ------------------------------------------------------------------------


def literal_nc4(features, labels, weight, bias):
    wide = features.astype(np.float64)
    centres = np.stack([wide[labels == c].mean(axis=0) for c in np.unique(labels)])
    nearest = np.array([np.square(centres - h).sum(axis=1).argmin() for h in wide])
    predicted = (wide @ weight.astype(np.float64).T + bias).argmax(axis=1)
    return np.mean(np.unique(labels)[nearest] != predicted), np.mean(predicted == labels)


def twins(seed):
    """Two classes whose centres almost coincide, far from the origin."""
    features, labels, weight, bias = drawn(seed, count=2_000)
    features[labels == 1] += features[labels == 0].mean(axis=0) - features[labels == 1].mean(axis=0)
    features[labels == 1, 0] += 1e-3
    return features + np.float32(30.0), labels, weight, bias


def random_labels(seed):
    features, labels, weight, bias = drawn(seed, count=2_000, noise=3.0)
    return features, np.random.default_rng(seed).permutation(labels), weight, bias


def flipped_by_the_bias(seed):
    features, labels, weight, bias = drawn(seed, count=2_000, noise=0.05)
    return features, labels, weight, bias + 1e3 * (np.arange(10) == 3)


def against_the_grain(seed):
    features, labels, weight, bias = drawn(seed, count=2_000)
    return features, labels, -weight, bias


def half_way(seed):
    """Rows exactly in the middle between two centres: both answers hang on rounding."""
    features, labels, weight, bias = drawn(seed, count=2_000, noise=0.01)
    centres = np.stack([features[labels == c].mean(axis=0) for c in range(10)])
    rows = np.arange(0, 2_000, 5)
    features[rows] = (centres[labels[rows]] + centres[(labels[rows] + 1) % 10]) / 2
    return features, labels, weight, bias


def equal_rows_of_the_classifier(seed):
    features, labels, weight, bias = drawn(seed, count=2_000, noise=0.01)
    weight[7], bias[7] = weight[2], bias[2]
    return features, labels, weight, bias


def a_classifier_of_zeros(seed):
    features, labels, weight, bias = drawn(seed, count=2_000, noise=0.01)
    return features, labels, 0 * weight, 0 * bias


def without_a_class(seed):
    features, labels, weight, bias = drawn(seed, count=2_000, noise=0.8)
    kept = labels != 4
    return features[kept], labels[kept], weight, bias


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize("every_logit", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        twins,
        random_labels,
        flipped_by_the_bias,
        against_the_grain,
        half_way,
        equal_rows_of_the_classifier,
        a_classifier_of_zeros,
        without_a_class,
    ],
)
def test_the_shortcut_decides_as_the_full_computation_does(case, every_logit):
    for seed in range(4):
        arrays = case(seed)
        report = collapse.analyze(held({"train": arrays[:2]}, *arrays[2:]), every_logit=every_logit)
        nc4, accuracy = literal_nc4(*arrays)
        assert report.accuracy == accuracy
        # a tie may go to either side in the literal reference too: its distances are rounded
        assert report.nc4 == pytest.approx(nc4, abs=2.5e-3 if case is half_way else 0)


# --- layouts on disk ----------------------------------------------------------------------------


def written(path, features, labels, weight, bias, **options):
    with h5py.File(path, "w", userblock_size=options.pop("userblock_size", 0)) as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1)
        file.create_dataset("train/features", data=features, **options)
        file["train/labels"] = labels
        file["classifier/weight"], file["classifier/bias"] = weight, bias
    return path


LAYOUTS = {
    "a user block in front": {"userblock_size": 1024},
    "chunks of rows": {"chunks": (100, 64)},
    "chunks of columns": {"chunks": (3_000, 3)},
    "small odd chunks": {"chunks": (37, 11), "compression": "gzip"},
    "compressed": {"chunks": (512, 64), "compression": "lzf", "shuffle": True},
    "checksummed": {"chunks": (1_000, 64), "fletcher32": True},
    "big-endian": {"dtype": ">f4"},
    "double": {"dtype": "<f8"},
}


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_the_file_does_not_matter(layout, tmp_path, monkeypatch):
    monkeypatch.setattr("nccli.collapse.spans.SPAN_BYTES", 2**17)
    arrays = drawn(12, count=3_000)
    plain = hdf5.read_checkpoint(written(tmp_path / "plain.h5", *arrays))
    other = hdf5.read_checkpoint(written(tmp_path / "other.h5", *arrays, **LAYOUTS[layout]))
    exact = values(collapse.analyze(other))
    for name, value in values(collapse.analyze(plain)).items():
        assert exact[name] == pytest.approx(value, rel=1e-7, abs=1e-12), name


def test_chunks_taller_than_a_slab_are_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("nccli.hdf5.stored.SLAB_BYTES", 64 * 4 * 50)
    arrays = drawn(13, count=1_000)
    other = written(tmp_path / "tall.h5", *arrays, chunks=(1_000, 8))
    found = hdf5.read_checkpoint(other).split("train").features
    blocks = [values.copy() for _, values in found.stream(130, 901, 77)]
    assert np.array_equal(np.concatenate(blocks), arrays[0][130:901])
    assert {len(block) for block in blocks[:-1]} == {77}


# --- files that change --------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"chunks": (64, 64)}])
def test_a_file_cut_short_while_it_is_read_is_an_error_and_no_crash(options, tmp_path):
    path = written(tmp_path / "cut.h5", *drawn(14, count=3_000), **options)
    rows = hdf5.read_checkpoint(path).split("train").features.stream(0, 3_000, 100)
    next(rows)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 4)
    with pytest.raises(FormatError, match=r"cut\.h5.*(cut short|changed|cannot read|truncated)"):
        list(rows)


def test_a_file_rewritten_while_it_is_read_is_noticed(tmp_path):
    arrays = drawn(15, count=3_000)
    path = written(tmp_path / "new.h5", *arrays)
    rows = hdf5.read_checkpoint(path).split("train").features.stream(0, 3_000, 100)
    next(rows)
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"abcd")
    with pytest.raises(FormatError, match=r"new\.h5: changed while it was being read"):
        list(rows)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told_with_its_row(dtype, value, tmp_path):
    features, labels, weight, bias = drawn(16, count=3_000, dtype=dtype)
    features[2_345, 6] = value
    path = written(tmp_path / "bad.h5", features, labels, weight, bias)
    with pytest.raises(ContentError, match=r"train/features holds NaN.*first in row 2345"):
        collapse.analyze(hdf5.read_checkpoint(path))


def test_finite_numbers_whose_squares_overflow_float32_are_measured(tmp_path):
    features, labels, weight, bias = drawn(17, count=1_000)
    path = written(tmp_path / "huge.h5", features * np.float32(1e30), labels, weight, bias)
    report = collapse.analyze(hdf5.read_checkpoint(path))
    expected = reference.nc1(features.astype(np.float64), labels)
    assert report.nc1 == pytest.approx(expected, rel=1e-5)
