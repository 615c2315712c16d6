"""The file format: round trips, atomic publishing, and every kind of bad file."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from conftest import network

from nccli import hdf5, publish
from nccli.checkpoint import Metadata
from nccli.errors import ContentError, FormatError, InputError, NotFoundError


def write(path, **changes):
    h, y, weight, bias = network(0, count=20)
    options = {
        "splits": {"train": (h.astype("f4"), y)},
        "weight": weight,
        "bias": bias,
        "metadata": Metadata(epoch=3, loss="cross-entropy"),
    }
    hdf5.write_checkpoint(path, **(options | changes))
    return path


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("with_logits", [True, False])
def test_a_checkpoint_reads_back_as_it_was_written(tmp_path, dtype, with_logits):
    h, y, weight, bias = network(0)
    logits = [(h @ weight.T).astype(dtype)] if with_logits else []
    metadata = Metadata(
        loss="label-smoothing",
        label_smoothing=0.1,
        epoch=7,
        dataset="digits",
        architecture="mlp",
        seed=3,
        weight_decay=1e-3,
        feature_decay=2e-4,
        created="2026-01-01T00:00:00+00:00",
        software='{"nccli": "0.1"}',
        class_names=("zéro", "one", "two", "three", "four"),
    )
    hdf5.write_checkpoint(
        tmp_path / "a.h5",
        splits={"train": (h.astype(dtype), y, *logits), "ood": (h[:5].astype(dtype), y[:5])},
        weight=weight.astype(dtype),
        bias=bias.astype(dtype),
        metadata=metadata,
    )
    point = hdf5.read_checkpoint(tmp_path / "a.h5")
    assert point.metadata == metadata
    assert list(point.splits) == ["train", "ood"]
    np.testing.assert_array_equal(point.splits["train"].features.load(), h.astype(dtype))
    np.testing.assert_array_equal(point.splits["train"].labels.load(), y)
    np.testing.assert_array_equal(point.classifier.weight.load(), weight.astype(dtype))
    assert (point.splits["train"].logits is not None) == with_logits


def test_only_format_and_version_are_required(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format"], file.attrs["format_version"] = "nccli-checkpoint", 1
        file["train/features"] = np.ones((4, 2), "f4")
        file["train/labels"] = np.array([0, 1, 0, 1], "u1")
    point = hdf5.read_checkpoint(tmp_path / "a.h5")
    assert point.metadata == Metadata()
    assert point.num_classes == 2


def test_compressed_and_chunked_data_are_read(tmp_path):
    path = write(tmp_path / "a.h5")
    h = np.random.default_rng(0).normal(size=(20, 8)).astype("f4")

    def change(file):
        del file["train/features"]
        file.create_dataset("train/features", data=h, chunks=(7, 3), compression="gzip")

    np.testing.assert_array_equal(
        hdf5.read_checkpoint(edit(path, change)).splits["train"].features.load(), h
    )


def test_our_own_files_are_contiguous_unfiltered_and_hold_no_variable_length_strings(tmp_path):
    with h5py.File(write(tmp_path / "a.h5"), "r") as file:
        for name in ("train/features", "train/labels", "classifier/weight", "classifier/bias"):
            assert file[name].chunks is None
            assert file[name].compression is None
        for name in file.attrs:
            kind = h5py.check_string_dtype(file.attrs.get_id(name).dtype)
            assert kind is None or kind.length is not None


def test_a_reader_leaves_no_handle_and_takes_no_lock(tmp_path):
    path = write(tmp_path / "a.h5")
    point = hdf5.read_checkpoint(path)
    with h5py.File(path, "r+"):  # a writer with default locking can open it meanwhile
        pass
    assert point.num_classes == 5


BAD = {
    "no such file": lambda p: p.unlink(),
    "the file is empty": lambda p: p.write_bytes(b""),
    "not an HDF5 file": lambda p: p.write_bytes(b"hello" * 100),
    "truncated HDF5 file": lambda p: p.write_bytes(p.read_bytes()[:3000]),
    "no root attribute 'format'": lambda p: edit(p, lambda f: f.attrs.pop("format")),
    "'format' is 'other', expected 'nccli-checkpoint'": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("format", "other")
    ),
    "format version 9, this nccli reads 1 to 1; upgrade nccli": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("format_version", 9)
    ),
    "'format_version' must be an integer": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("format_version", "one")
    ),
    "'epoch' must be an integer": lambda p: edit(p, lambda f: f.attrs.__setitem__("epoch", "x")),
    r"'label_smoothing' must lie in \[0, 1\)": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("label_smoothing", 1.5)
    ),
    "format version -1, this nccli reads 1 to 1; set it to 1": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("format_version", -1)
    ),
    "'seed' must be an integer, got complex128": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("seed", 1 + 2j)
    ),
    "'feature_decay' must be finite and not negative": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("feature_decay", -1e-3)
    ),
    r"was declared with shape \(20, 8\) and never written": lambda p: edit(
        p, lambda f: (f.pop("train/features"), f.create_dataset("train/features", (20, 8), "f4"))
    ),
    "is an empty \\(null\\) data set": lambda p: edit(
        p, lambda f: (f.pop("train/features"), f.create_dataset("train/features", dtype="f4"))
    ),
    "'weight_decay' must be finite": lambda p: edit(
        p, lambda f: f.attrs.__setitem__("weight_decay", np.nan)
    ),
    r"train/labels must have shape \(20,\), got \(19,\)": lambda p: edit(
        p, replace("train/labels", np.zeros(19, int))
    ),
    r"train/labels must lie in 0\.\.4, found 7 \(first at row 0\)": lambda p: edit(
        p, replace("train/labels", np.full(20, 7))
    ),
    r"train/labels must lie in 0\.\.4, found -1": lambda p: edit(
        p, replace("train/labels", np.full(20, -1))
    ),
    "train/labels must hold integers, got float64": lambda p: edit(
        p, replace("train/labels", np.zeros(20))
    ),
    "train/labels must have 1 dimension, got shape": lambda p: edit(
        p, replace("train/labels", np.zeros((20, 5), int))
    ),
    "train/features must hold floats, got int64": lambda p: edit(
        p, replace("train/features", np.zeros((20, 8), int))
    ),
    "train/features must hold floats, got complex128": lambda p: edit(
        p, replace("train/features", np.zeros((20, 8), complex))
    ),
    r"classifier/weight must have shape \(5, 8\), got \(5, 9\)": lambda p: edit(
        p, replace("classifier/weight", np.zeros((5, 9)))
    ),
    r"classifier/bias must have shape \(5,\), got \(4,\)": lambda p: edit(
        p, replace("classifier/bias", np.zeros(4))
    ),
    "train/features holds no samples": lambda p: edit(
        p, lambda f: replace("train/features", np.zeros((0, 8)))(f)
    ),
    "train/labels is not": lambda p: edit(p, lambda f: f.pop("train/labels")),
    "holds no split": lambda p: edit(p, lambda f: f.pop("train")),
    "classifier/weight is not": lambda p: edit(p, lambda f: f.pop("classifier/weight")),
    "train/features must be a data set, found a group": lambda p: edit(
        p, lambda f: (f.pop("train/features"), f.create_group("train/features"))
    ),
    "is a SoftLink, which is never followed": lambda p: edit(
        p, replace("train/features", h5py.SoftLink("/classifier/weight"))
    ),
    "is a ExternalLink, which is never followed": lambda p: edit(
        p, replace("train/features", h5py.ExternalLink("/etc/passwd", "/x"))
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, message):
    path = write(tmp_path / "bad.h5")
    BAD[message](path)
    with pytest.raises(InputError, match=message) as caught:
        hdf5.read_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_external_storage_is_never_read(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"x" * 640)

    def change(file):
        del file["train/features"]
        file.create_dataset(
            "train/features", shape=(20, 8), dtype="f4", external=[(str(secret), 0, 640)]
        )

    with pytest.raises(FormatError, match="outside the file"):
        hdf5.read_checkpoint(edit(write(tmp_path / "bad.h5"), change))


def test_a_virtual_data_set_is_never_read(tmp_path):
    def change(file):
        del file["train/features"]
        layout = h5py.VirtualLayout(shape=(20, 8), dtype="f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(20, 8))
        file.create_virtual_dataset("train/features", layout)

    with pytest.raises(FormatError, match="outside the file"):
        hdf5.read_checkpoint(edit(write(tmp_path / "bad.h5"), change))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "NaN or Inf")])
def test_features_that_are_not_finite_are_refused_when_fetched(tmp_path, value, word):
    h, y, weight, _ = network(0, count=20)
    h[12, 3] = value
    path = write(tmp_path / "bad.h5", splits={"train": (h, y)}, weight=weight)
    point = hdf5.read_checkpoint(path)
    with pytest.raises(ContentError, match=rf"{word} \(1 value, first in row 12\)"):
        point.splits["train"].features.load()


def test_features_whose_squares_overflow_are_refused(tmp_path):
    h, y, weight, _ = network(0, count=20)
    path = write(tmp_path / "bad.h5", splits={"train": (h * 1e160, y)}, weight=weight)
    with pytest.raises(ContentError, match="whose squares overflow"):
        hdf5.read_checkpoint(path).splits["train"].features.load()


def test_labels_that_tell_no_sensible_class_count_are_refused(tmp_path):
    h, y, _, _ = network(0, count=20)
    wild = np.where(y == 1, 10**7, y)
    with pytest.raises(ContentError, match="labels run up to 10,000,000 for 20 samples"):
        write(tmp_path / "bad.h5", splits={"train": (h, wild)}, weight=None, bias=None)


def test_a_file_that_changes_while_being_read_is_refused(tmp_path):
    path = write(tmp_path / "a.h5")
    point = hdf5.read_checkpoint(path)
    write(path, metadata=Metadata(epoch=4))
    with pytest.raises(FormatError, match="changed while it was being read"):
        point.splits["train"].features.load()


def test_a_directory_is_not_a_checkpoint(tmp_path):
    with pytest.raises(NotFoundError, match="not a regular file"):
        hdf5.read_checkpoint(tmp_path)


def test_the_writer_refuses_arrays_that_do_not_fit_together(tmp_path):
    h, y, weight, _ = network(0, count=20)
    with pytest.raises(ContentError, match=r"a.h5: train/labels must have shape \(20,\)"):
        write(tmp_path / "a.h5", splits={"train": (h, y[:-1])}, weight=weight)
    with pytest.raises(ContentError, match="train/features must be float16, float32 or float64"):
        write(tmp_path / "a.h5", splits={"train": (h.astype(int), y)}, weight=weight)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5")
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, metadata=Metadata(epoch=9))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


def test_published_files_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        path = write(tmp_path / "a.h5")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_names_in_a_file_cannot_drive_the_terminal(tmp_path):
    path = edit(
        write(tmp_path / "a.h5"), lambda f: f.attrs.__setitem__("format", "\x1b[31mred\nline")
    )
    with pytest.raises(FormatError) as caught:
        hdf5.read_checkpoint(path)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\\x1b[31mred" in str(caught.value)


def test_a_type_that_numpy_does_not_know_is_a_damaged_file(tmp_path):
    def change(file):
        del file["train/features"]
        kind = h5py.h5t.TypeID.copy(h5py.h5t.UNIX_D32LE)
        space = h5py.h5s.create_simple((20, 8))
        h5py.h5d.create(file.id, b"train/features", kind, space)

    with pytest.raises(InputError, match=r"train/features|HDF5 library cannot read it"):
        hdf5.read_checkpoint(edit(write(tmp_path / "bad.h5"), change))


def test_threads_write_side_by_side(tmp_path):
    """HDF5 knows a file in memory by its name, and the umask belongs to the whole process."""
    before = os.umask(0o022)
    h, y, w, b = network(0)

    def write(number):
        for turn in range(10):
            path = tmp_path / f"{number}-{turn}.h5"
            hdf5.write_checkpoint(path, splits={"train": (h + number, y)}, weight=w, bias=b)
            assert (
                hdf5.read_checkpoint(path).split("train").features.load()[0, 0] == h[0, 0] + number
            )
            assert path.stat().st_mode & 0o777 == 0o644

    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(8)))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
