"""The digits: the shipped file, the fixed split, standardisation and noise."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from nccli import sample
from nccli.errors import FormatError, NotFoundError, UsageError
from train import digits


@pytest.fixture(scope="module")
def raw():
    return digits.read_images(sample.sample_data_path("digits.npz"))


def digest(*arrays):
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def test_the_shipped_file_holds_the_1797_images_in_small_integers(raw):
    images, labels = raw
    assert (images.shape, images.dtype) == ((1797, 8, 8), np.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), np.uint8)
    assert images.max() == 16
    assert list(np.unique(labels)) == list(range(10))


def test_the_shipped_numbers_never_change(raw):
    assert digest(*raw) == "87ff0c9e40dc7e2c"


def test_the_split_is_a_partition_into_1000_and_797(raw):
    train, test = digits.split_indices(raw[1])
    assert (len(train), len(test)) == (1000, 797)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(1797))


def test_the_split_is_stratified_to_within_one_image(raw):
    labels = raw[1]
    train, _ = digits.split_indices(labels)
    share = np.bincount(labels) * 1000 / 1797
    assert np.abs(np.bincount(labels[train]) - share).max() <= 1


def test_the_split_never_changes(raw):
    assert digest(*(part.astype(np.int64) for part in digits.split_indices(raw[1]))) == (
        "69d9b63471974d1c"
    )


def test_pixels_are_standardised_by_the_training_part_alone():
    parts = digits.load_digits(pixel_noise=0.0)
    assert abs(parts["train"].images.mean(dtype=np.float64)) < 1e-6
    assert parts["train"].images.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert abs(parts["test"].images.mean(dtype=np.float64)) > 1e-4


def test_noise_has_its_standard_deviation_and_is_the_same_every_time():
    clean, noisy, again = (
        digits.load_digits(pixel_noise=noise)["test"].images for noise in (0, 0.8, 0.8)
    )
    noise = noisy.astype(np.float64) - clean
    assert noise.std() == pytest.approx(0.8, rel=0.01)
    assert abs(noise.mean()) < 0.01
    assert np.array_equal(noisy, again)


def test_parts_have_the_shapes_and_types_that_the_loop_expects():
    for name, count in (("train", 1000), ("test", 797)):
        part = digits.load_digits()[name]
        assert (part.images.shape, part.images.dtype) == ((count, 1, 8, 8), np.float32)
        assert (part.labels.shape, part.labels.dtype) == ((count,), np.int64)
        assert part.count == count


def test_a_file_that_is_no_archive_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "digits.npz"
    path.write_bytes(b"not an archive")
    with pytest.raises(FormatError, match=r"digits.npz: cannot be read as digits .*make digits"):
        digits.read_images(path)


def test_a_pickle_in_the_file_is_never_loaded(tmp_path):
    path = tmp_path / "digits.npz"
    np.savez(path, images=np.array([object()]), labels=np.zeros(1))
    with pytest.raises(FormatError, match="allow_pickle"):
        digits.read_images(path)


def test_a_file_of_other_shapes_is_refused(tmp_path):
    path = tmp_path / "digits.npz"
    np.savez(path, images=np.zeros((3, 8, 8)), labels=np.zeros(3))
    with pytest.raises(FormatError, match=r"must hold images \(1797, 8, 8\) .* got \(3, 8, 8\)"):
        digits.read_images(path)


def test_sample_data_that_are_nowhere_are_named_with_the_remedy():
    with pytest.raises(NotFoundError, match=r"sample_data/nothing.npz: .*; reinstall nccli, or"):
        sample.sample_data_path("nothing.npz")


def test_the_wheels_copy_comes_before_the_repositorys(tmp_path, monkeypatch):
    package = tmp_path / "nccli"
    monkeypatch.setattr(sample, "__file__", str(package / "sample.py"))
    (tmp_path / "sample_data").mkdir()
    (tmp_path / "sample_data" / "x").touch()
    assert sample.sample_data_path("x") == tmp_path / "sample_data" / "x"
    (package / "sample_data").mkdir(parents=True)
    (package / "sample_data" / "x").touch()
    assert sample.sample_data_path("x") == package / "sample_data" / "x"


def test_remaking_without_scikit_learn_says_how_to_get_it(tmp_path, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(digits.importlib, "import_module", absent)
    with pytest.raises(UsageError, match="needs scikit-learn; pip install scikit-learn"):
        digits.remake(tmp_path / "digits.npz")


def test_remaking_writes_what_can_be_read_back_the_same_bytes_every_time(
    tmp_path, monkeypatch, raw
):
    class Bunch:
        images, target = raw[0].astype(np.float64), raw[1].astype(np.int64)

    class Datasets:
        load_digits = Bunch

    monkeypatch.setattr(digits.importlib, "import_module", lambda _: Datasets)
    for name in ("a.npz", "b.npz"):
        digits.remake(tmp_path / name)
    assert digest(*digits.read_images(tmp_path / "a.npz")) == digest(*raw)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
