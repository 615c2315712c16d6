"""Every version of the format that was ever written is read, by every h5py that is supported.

`make oldest` runs this file with the oldest versions that pyproject.toml admits.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from trials import content, save, verified

from nccli import hdf5
from nccli.errors import InputError
from nccli.reader import format as versions
from nccli.reader.limits import Limits
from nccli.validate import validate

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "formats"
SAID = {"epoch": 3, "label_smoothing": 0.05, "weight_decay": 5e-4, "dataset": "digits",
        "architecture": "mlp", "created": "2026-11-26T00:00:00+00:00",
        "class_names": ("zéro", "one", "two", "three", "four")}  # fmt: skip


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_file_of_each_version_is_read_to_the_same_numbers(tmp_path, version):
    path = GOLDEN / f"checkpoint-{version}.h5"
    assert content(path) == content(save(tmp_path / "now.h5", **SAID))
    described = hdf5.describe(path)
    assert described.minor == int(version[-1])
    assert (described.content_sha256 is None) == (version == "1.0")
    finding = validate(path, verify=version != "1.0")
    assert finding.ok, finding.problem


def test_the_newest_version_is_written_byte_for_byte_as_before(tmp_path):
    """Where it stands in the file is not promised, but should not change by accident."""
    path = save(tmp_path / "now.h5", **SAID)
    golden = GOLDEN / f"checkpoint-{versions.FORMAT_MAJOR}.{versions.FORMAT_MINOR}.h5"
    assert hdf5.describe(path).content_sha256 == hdf5.describe(golden).content_sha256
    assert path.stat().st_size == golden.stat().st_size


def test_a_file_of_a_later_minor_version_is_read_and_said_to_be_one(tmp_path):
    path = save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["format_minor"] = 7
    finding = validate(path)
    assert finding.ok
    assert finding.notes == (
        "format version 1.7, newer than this nccli's 1.1: what it adds is not read",
    )
    assert not validate(path, strict=True).ok


def test_an_older_major_version_is_brought_up_step_by_step(monkeypatch):
    monkeypatch.setattr(versions, "FORMAT_MAJOR", 3)
    steps = {1: lambda told: told | {"a": 1}, 2: lambda told: told | {"b": told["a"] + 1}}
    monkeypatch.setattr(versions, "MIGRATIONS", steps)
    assert versions.migrated({"format_version": 1}) == {"format_version": 1, "a": 1, "b": 2}
    assert versions.migrated({"format_version": 3}) == {"format_version": 3}


def test_our_files_are_contiguous_unfiltered_and_of_fixed_lengths(tmp_path):
    path = save(tmp_path / "a.h5", class_names=("a", "b", "c", "d", "e"))
    with h5py.File(path, "r") as file:
        names = []
        file.visit(names.append)
        for name in names:
            assert isinstance(file.get(name, getlink=True), h5py.HardLink)
            if isinstance(file[name], h5py.Dataset):
                assert file[name].chunks is None
                assert file[name].id.get_create_plist().get_nfilters() == 0
                assert file[name].id.get_offset() > 0
        for name in file.attrs:
            kind = h5py.check_string_dtype(file.attrs.get_id(name).dtype)
            assert kind is None or kind.length is not None
        assert file.libver in (("earliest", "v114"), ("earliest", "v110"), ("earliest", "v200"))


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["train/features"].__setitem__((3, 2), 7.0),
        lambda file: file["train/labels"].__setitem__(0, 1),
        lambda file: file.attrs.__setitem__("epoch", 9),
        lambda file: file.attrs.__setitem__("loss", "label-smoothing"),
        lambda file: file.attrs.__delitem__("seed"),
        lambda file: file.__delitem__("test/logits"),
        lambda file: file.move("test", "val"),
        lambda file: file["classifier/bias"].__setitem__(4, 0.0),
    ],
)
def test_whatever_is_read_is_in_the_hash(tmp_path, change):
    path = save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    assert not verified(path)
    finding = validate(path, verify=True)
    assert (finding.ok, finding.integrity, finding.semantics) == (False, "failed", "not checked")
    assert "its content is not what was written" in finding.problem
    assert validate(path).integrity == "not checked"


def test_what_is_not_read_is_not_in_the_hash(tmp_path):
    path = save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["train/images"] = [1, 2, 3]
        file.attrs["mine"] = "x"
    assert verified(path)


def test_a_file_without_a_hash_cannot_be_verified():
    finding = validate(GOLDEN / "checkpoint-1.0.h5", verify=True)
    assert not finding.ok
    assert "carries no content_sha256" in finding.problem


def test_logits_of_another_epoch_are_noticed(tmp_path):
    path, other = save(tmp_path / "a.h5"), save(tmp_path / "b.h5", epoch=2)
    with h5py.File(path, "r+") as file, h5py.File(other, "r") as source:
        file["test/logits"][...] = source["test/logits"][...]
    assert validate(path).ok
    (note,) = validate(path).notes
    assert note.startswith("test/logits are not features W^T + b in 20 rows (first in row 0)")
    strict = validate(path, strict=True)
    assert (strict.ok, strict.semantics) == (False, "failed")


def test_the_levels_say_how_far_a_file_is_sound(tmp_path):
    levels = {}
    for name in ("gone", "text", "shape", "labels"):
        path = tmp_path / f"{name}.h5"
        if name == "text":
            path.write_text("hello")
        elif name != "gone":
            save(path)
            with h5py.File(path, "r+") as file:
                del file["train/labels"]
                file["train/labels"] = [[0]] * 20 if name == "shape" else [9] * 20
        found = validate(path)
        levels[name] = (found.identity, found.structure, found.semantics)
    assert levels == {
        "gone": ("failed", "not checked", "not checked"),
        "text": ("failed", "not checked", "not checked"),
        "shape": ("ok", "failed", "not checked"),
        "labels": ("ok", "ok", "failed"),
    }


def test_the_documented_limits_are_those_that_hold():
    text = (ROOT / "docs" / "format.md").read_text()
    told = dict(re.findall(r"\| `(NCCLI_MAX_\w+)` \| (\d+) \|", text))
    limits = Limits()
    assert told == {limits.variable(name): str(getattr(limits, name)) for name in Limits.__slots__}


@pytest.mark.parametrize("name", ["a/b", ".", "", "classifier", "a\nb"])
def test_the_writer_refuses_names_that_no_reader_would_take(tmp_path, name):
    rng = np.random.default_rng(0)
    arrays = (rng.normal(size=(4, 2)), np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match="a split cannot be called"):
        hdf5.write_checkpoint(tmp_path / "a.h5", splits={name: arrays})
    assert not list(tmp_path.iterdir())


ODD = [
    {"weight_decay": 0, "label_smoothing": 0},
    {"feature_decay": 1, "epoch": np.int64(3)},
    {"label_smoothing": np.float32(0.05), "seed": np.uint8(4)},
    {"class_names": ()},
    {"class_names": tuple(f"{index:0121}" for index in range(1000))},
    {"dataset": "", "architecture": "mid\u20acdle"},
    {"weight_decay": np.float64(5e-324)},
]


@pytest.mark.parametrize("said", ODD, ids=str)
def test_whatever_is_written_can_be_verified(tmp_path, said):
    path = save(tmp_path / "a.h5", **said)
    assert verified(path)
    metadata = hdf5.read_checkpoint(path).metadata
    for name, value in said.items():
        assert getattr(metadata, name) == value


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"epoch": True}, "epoch must be an integer, got True"),
        ({"epoch": 5.0}, "epoch must be an integer"),
        ({"epoch": 2**70}, "epoch must fit 64 bits"),
        ({"label_smoothing": 1.5}, r"label_smoothing must be in \[0, 1\), got 1.5"),
        ({"weight_decay": float("nan")}, "weight_decay must be finite and not negative"),
        ({"weight_decay": True}, "weight_decay must be finite"),
        ({"weight_decay": [1]}, "weight_decay must be finite"),
        ({"dataset": 7}, "dataset must be text, got 7"),
        ({"dataset": "a\0"}, "dataset must not hold NUL characters"),
        ({"class_names": ("a", "\ud800")}, "class_names must be text that UTF-8 can hold"),
    ],
)
def test_the_writer_refuses_what_no_reader_would_take(tmp_path, said, message):
    with pytest.raises(InputError, match=message):
        save(tmp_path / "a.h5", **said)
    assert not list(tmp_path.iterdir())


def test_the_writer_refuses_a_bias_alone_and_too_many_splits(tmp_path):
    arrays = (np.ones((4, 2)), np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match="has a bias and no weight"):
        hdf5.write_checkpoint(tmp_path / "a.h5", splits={"train": arrays}, bias=np.ones(2))
    with pytest.raises(InputError, match="has 1,000 splits, a reader takes 999"):
        hdf5.write_checkpoint(tmp_path / "a.h5", splits={f"s{i}": arrays for i in range(1000)})


def test_the_hash_comes_before_any_number_is_judged(tmp_path):
    path = save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["train/labels"][3] = 99
    finding = validate(path, verify=True)
    assert (finding.structure, finding.integrity, finding.semantics) == (
        "not checked", "failed", "not checked",
    )  # fmt: skip
