"""What stands in a file: every kind of thing is named, and nothing hostile is followed or read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import network

from nccli import calibration, collapse, hdf5, hessian
from nccli.checkpoint import Metadata
from nccli.cli.app import run
from nccli.contents import (
    CALIBRATION,
    FEEDS,
    HESSIAN,
    WHERE_NO_LOGITS,
    Contents,
    contents,
    feeds,
)
from nccli.errors import FormatError, InputError, NotFoundError
from nccli.reader.objects import MAX_ATTRIBUTES, MAX_TEXT
from nccli.reader.tree import MAX_DEPTH, MAX_ITEMS
from nccli.result import quantities

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data/runs"
SAMPLE_FILE = SAMPLE / "digits-mlp-ls0.05-s0/checkpoints/epoch-00200.h5"


def write(path, *, logits=True):
    h, y, weight, bias = network(0, count=60)
    test_h, test_y, _, _ = network(1, count=40)
    parts = {"train": (h, y), "test": (test_h, test_y)}
    if logits:
        parts = {name: (h, y, h @ weight.T + bias) for name, (h, y) in parts.items()}
    metadata = Metadata(label_smoothing=0.1, weight_decay=5e-3)
    hdf5.write_checkpoint(path, splits=parts, weight=weight, bias=bias, metadata=metadata)
    return path


def edited(path, change, **options):
    with h5py.File(write(path), "r+", **options) as file:
        change(file)
    return path


def foreign(path, change, **options):
    with h5py.File(path, "w", **options) as file:
        change(file)
    return path


def item(path, name):
    return {one.path: one for one in contents(path).items}[name]


# --- what stands there ----------------------------------------------------------------------------


def test_the_shipped_sample_is_listed_in_tree_order():
    found = contents(SAMPLE_FILE)
    assert [(one.path, one.depth) for one in found.items] == [
        ("/classifier", 0),
        ("/classifier/bias", 1),
        ("/classifier/weight", 1),
        ("/test", 0),
        ("/test/features", 1),
        ("/test/labels", 1),
        ("/test/logits", 1),
        ("/train", 0),
        ("/train/features", 1),
        ("/train/labels", 1),
        ("/train/logits", 1),
    ]
    weight = item(SAMPLE_FILE, "/classifier/weight")
    assert (weight.kind, weight.shape, weight.dtype) == ("data set", (10, 128), "float16")
    assert (weight.layout, weight.size) == ("contiguous", 2560)
    assert item(SAMPLE_FILE, "/train/labels").note == "integers in 0..K-1"
    assert dict(found.attributes) | {"epoch": "200", "label_smoothing": "0.05"} == dict(
        found.attributes
    )
    assert found.size == SAMPLE_FILE.stat().st_size
    assert found.modified.endswith("+00:00")
    assert found.more == 0


def layouts(file):
    file["row"] = np.ones(3)
    file.create_dataset("chunks", (64, 6), "f4", chunks=(32, 6), compression="gzip")[:] = 1
    file.create_dataset(
        "both", (64, 6), "i2", chunks=(64, 3), compression="lzf", shuffle=True, fletcher32=True
    )[:] = 1
    file.create_dataset("declared", (4, 4), "f8")
    file["null"] = h5py.Empty("f4")
    file["one"] = 3.5
    file["none"] = np.zeros((0, 4))
    file["texts"] = np.array([b"ab", b"cd"])
    file["words"] = "variable"
    file["record"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
    file["named"] = np.dtype("f4")
    file["truths"] = np.array([True, False])
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((4,))
    small = h5py.h5d.create(file.id, b"small", h5py.h5t.NATIVE_DOUBLE, space, plist)
    small.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones(4))
    strange = h5py.h5t.TypeID.copy(h5py.h5t.UNIX_D32LE)
    h5py.h5d.create(file.id, b"strange", strange, space)


def test_layouts_shapes_and_types_are_told(tmp_path):
    path = foreign(tmp_path / "a.h5", layouts)
    told = {one.path[1:]: (one.shape, one.dtype, one.layout) for one in contents(path).items}
    assert told == {
        "row": ((3,), "float64", "contiguous"),
        "chunks": ((64, 6), "float32", "chunked 32x6, gzip"),
        "both": ((64, 6), "int16", "chunked 64x3, shuffle, lzf, fletcher32"),
        "declared": ((4, 4), "float64", "never written"),
        "null": (None, "float32", "contiguous"),
        "one": ((), "float64", "contiguous"),
        "none": ((0, 4), "float64", "contiguous"),
        "texts": ((2,), "string[2]", "contiguous"),
        "words": ((), "string of variable length", "contiguous"),
        "record": ((2,), "compound", "contiguous"),
        "named": (None, "float32", None),
        "truths": ((2,), "bool", "contiguous"),
        "small": ((4,), "float64", "compact"),
        "strange": ((4,), "time", "never written"),
    }


def test_a_foreign_file_is_listed_and_nothing_in_it_feeds_anything(tmp_path):
    def change(file):
        file["train/features"] = np.ones((4, 2))
        file["train/labels"] = np.arange(4)

    found = contents(foreign(tmp_path / "a.h5", change))
    assert [one.path for one in found.items] == ["/train", "/train/features", "/train/labels"]
    assert {(one.feeds, one.note) for one in found.items} == {((), None)}


def test_what_a_checkpoint_does_not_need_is_called_unknown(tmp_path):
    def change(file):
        file["ood/features"] = np.ones((4, 8))
        file["val/labels"] = np.arange(4)
        file["notes/today"] = 1
        file["train/extra"] = 1
        file["train/deep/features"] = 1
        file["classifier/features"] = np.ones((4, 8))

    path = edited(tmp_path / "a.h5", change)
    found = {one.path: (one.feeds, one.note) for one in contents(path).items}
    lonely = ((), "not read: a split needs features and labels")
    assert found["/ood/features"] == found["/val/labels"] == lonely
    for name in ("/notes", "/notes/today", "/train/extra", "/train/deep", "/classifier/features"):
        assert found[name] == ((), "unknown to nccli"), name
    assert found["/train/deep/features"] == ((), "unknown to nccli")
    assert found["/train/features"][0] == feeds("features")


def test_a_format_of_variable_length_is_taken_for_ours(tmp_path):
    path = edited(tmp_path / "a.h5", lambda file: file.attrs.update(format="nccli-checkpoint"))
    assert dict(contents(path).attributes)["format"] == "string of variable length, not shown"
    assert item(path, "/train/labels").feeds == feeds("labels")


# --- what is never followed -----------------------------------------------------------------------


def leading_out(file, target):
    """Every way in which a file can lead to another: none may open it."""
    file["soft"] = h5py.SoftLink("/train/features")
    file["external"] = h5py.ExternalLink(target, "/inside")
    file.create_dataset("storage", shape=(20, 8), dtype="f4", external=[(target, 0, 640)])
    layout = h5py.VirtualLayout(shape=(20, 8), dtype="f4", maxshape=(None, 8))
    layout[: h5py.h5s.UNLIMITED] = h5py.VirtualSource(
        target, "x", shape=(20, 8), dtype="f4", maxshape=(None, 8)
    )[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("virtual", layout)


def test_links_and_outside_storage_are_named(tmp_path):
    path = edited(tmp_path / "a.h5", lambda file: leading_out(file, "other.h5"))
    found = {one.path: one for one in contents(path).items}
    told = {name: (found[name].kind, found[name].note) for name in found if name.count("/") == 1}
    assert told["/soft"] == ("soft link", "never followed: /train/features")
    assert told["/external"] == ("external link", "never followed: other.h5 /inside")
    assert told["/storage"] == ("external storage", "never followed: other.h5")
    assert told["/virtual"] == ("virtual data set", "never followed")
    assert found["/storage"].shape == (20, 8)
    assert found["/virtual"].shape is None
    assert found["/virtual"].dtype == "float32"
    assert all(found[name].feeds == () for name in ("/soft", "/external", "/storage", "/virtual"))


def test_features_that_stand_elsewhere_feed_nothing(tmp_path):
    def change(file):
        del file["train/features"]
        file["train/features"] = h5py.SoftLink("/test/features")

    assert item(edited(tmp_path / "a.h5", change), "/train/features").feeds == ()


def test_nothing_outside_the_file_is_opened(tmp_path):
    # a named pipe stands where the file leads: whoever opens it waits for ever
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = foreign(tmp_path / "a.h5", lambda file: leading_out(file, str(pipe)))
    code = "import sys; from pathlib import Path; from nccli.contents import contents; " \
        "print(len(contents(Path(sys.argv[1])).items))"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "4\n"


def test_a_group_that_holds_itself_ends(tmp_path):
    def change(file):
        file["a/b/up"] = file.create_group("a")
        file["a/root"] = file["/"]
        file["a/b/beside"] = file["a/b"]
        file["again"] = file["a"]

    found = {one.path: one.note for one in contents(foreign(tmp_path / "a.h5", change)).items}
    assert found == {
        "/a": None,
        "/a/b": None,
        "/a/b/beside": "the same object as /a/b",
        "/a/b/up": "the same object as /a",
        "/a/root": "the same object as /",
        "/again": "the same object as /a",
    }


def test_data_of_two_names_feed_under_both(tmp_path):
    def change(file):
        del file["test/labels"]
        del file["train/features"], file["test/features"]
        file["train/features"] = file["test/features"] = np.ones((60, 8))
        file["test/labels"] = np.arange(60) % 5

    def same(file):
        change(file)
        del file["test/features"]
        file["test/features"] = file["train/features"]

    path = edited(tmp_path / "a.h5", same)
    assert {item(path, f"/{name}/features").feeds for name in ("train", "test")} == {
        feeds("features")
    }
    assert item(path, "/train/features").note == "the same object as /test/features"


def test_a_name_that_reads_as_a_path_is_not_walked_along(tmp_path):
    path = foreign(tmp_path / "a.h5", lambda file: file.update({"aa": 1, "xQyyyyyyyy": 2}))
    path.write_bytes(path.read_bytes().replace(b"xQyyyyyyyy", b"x/yyyyyyyy"))
    assert item(path, "/x/yyyyyyyy").note == "never followed: its name reads as a path"


# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_ten_thousand_names_are_counted_not_listed(tmp_path, libver):
    def change(file):
        crowd = file.create_group("a")
        for index in range(10_000):
            crowd[f"n{index}"] = h5py.SoftLink("/nowhere")
        file["train/features"] = np.ones(3)

    found = contents(foreign(tmp_path / "a.h5", change, libver=libver))
    assert len(found.items) == MAX_ITEMS
    assert found.more == 10_003 - MAX_ITEMS
    assert found.items[-1].path == "/train"  # the crowd does not hide its neighbour


def test_deep_groups_are_counted_not_entered(tmp_path):
    path = foreign(tmp_path / "a.h5", lambda file: file.create_group("/".join("abcdefghijkl")))
    found = contents(path)
    assert [one.depth for one in found.items] == list(range(MAX_DEPTH))
    assert found.more == 1


def attributes(file):
    file.attrs["long"] = np.bytes_(b"x" * 100_000)
    file.attrs["many"] = np.ones((1000, 2))
    file.attrs["text"] = "variable"
    file.attrs["texts"] = ["variable", "too"]
    file.attrs["ragged"] = np.array([np.ones(2), np.ones(3)], h5py.vlen_dtype("f8"))
    file.attrs["link"] = file.ref
    file.attrs["record"] = np.zeros(2, [("a", "f4")])
    file.attrs["nothing"] = h5py.Empty("f4")
    file.attrs["fixed"] = np.bytes_("zéro".encode())
    file.attrs["names"] = np.array([b"zero", b"one"])
    file.attrs["numbers"] = np.array([[1, 2], [3, 4]])
    file.attrs["truth"] = True
    file.attrs["wordy"] = np.bytes_(b"y" * 4000)


def test_attributes_are_read_where_small_and_of_fixed_length(tmp_path):
    path = foreign(tmp_path / "a.h5", attributes, libver="latest")
    assert dict(contents(path).attributes) == {
        "long": "string[100000], not shown",
        "many": "float64 of shape 1000x2, not shown",
        "text": "string of variable length, not shown",
        "texts": "string of variable length of shape 2, not shown",
        "ragged": "list of variable length of shape 2, not shown",
        "link": "reference, not shown",
        "record": "compound of shape 2, not shown",
        "nothing": "nothing (null)",
        "fixed": "zéro",
        "names": "zero, one",
        "numbers": "1, 2, 3, 4",
        "truth": "True",
        "wordy": "y" * (MAX_TEXT - 1) + "…",
    }


def test_an_objects_attributes_are_told_up_to_a_number(tmp_path):
    def change(file):
        group = file.create_group("a" * 300)
        for index in range(100):
            group.attrs[f"n{index:03}"] = index

    (found,) = contents(foreign(tmp_path / "a.h5", change, libver="latest")).items
    assert found.attributes[:2] == (("n000", "0"), ("n001", "1"))
    assert found.attributes[MAX_ATTRIBUTES:] == (("…", "36 more, not shown"),)
    assert len(found.path) == 1 + MAX_TEXT


# --- what cannot be opened ------------------------------------------------------------------------

BAD = {
    "not an HDF5 file": (lambda path: path.write_bytes(b"hello" * 100), FormatError),
    "truncated HDF5 file": (lambda path: os.truncate(path, 3000), FormatError),
    "the file is empty": (lambda path: os.truncate(path, 0), FormatError),
    "no such file": (lambda path: path.unlink(), NotFoundError),
    "not a regular file": (lambda path: (path.unlink(), path.mkdir()), NotFoundError),
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_opened_is_refused_as_by_the_reader(tmp_path, message):
    change, kind = BAD[message]
    path = write(tmp_path / "bad.h5")
    change(path)
    with pytest.raises(kind, match=message) as caught:
        contents(path)
    with pytest.raises(kind) as expected:
        hdf5.read_checkpoint(path)
    assert str(caught.value) == str(expected.value)


def test_flipped_bytes_are_an_error_of_ours_or_a_list(tmp_path):
    good = write(tmp_path / "good.h5").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "bad.h5"
    ends = {"listed": 0, "refused": 0}
    for _ in range(120):
        damaged = bytearray(good)
        for place in rng.integers(8, 6000, size=4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(contents(path), Contents)
            ends["listed"] += 1
        except InputError:
            ends["refused"] += 1
    assert min(ends.values()) > 0


# --- what feeds what ------------------------------------------------------------------------------

NUMBERS = [
    name
    for name, meaning in quantities(collapse.CollapseReport).items()
    if meaning.better or name in ("weight_norm", "feature_norm")
]
NUMBERS.remove("between_noise")  # says how far to trust the others


def measured(path, split="train"):
    """Each result of a split by the name that FEEDS has for it; absent where it is an error."""
    found = {}
    try:
        checkpoint = hdf5.read_checkpoint(path)
        report = collapse.analyze(checkpoint, split=split)
        found |= {name: getattr(report, name) for name in NUMBERS}
        scored = calibration.analyze(checkpoint, split=split)
        found[CALIBRATION] = (scored.ece, scored.nll, scored.brier)
        curved = hessian.analyze(checkpoint, split=split)
        found[HESSIAN] = (curved.lambda_max_w, curved.kappa_means_w, curved.trace_h)
    except InputError:
        pass
    return {name: value for name, value in found.items() if value is not None}


def disturb(name):
    def change(file):
        values, rng = file[name][:], np.random.default_rng(0)
        if values.dtype.kind == "f":
            file[name][:] = values + 2 * rng.normal(size=values.shape)
        else:
            file[name][:] = rng.permutation(values)

    return change


PLACES = {role: f"train/{role}" for role in ("features", "labels", "logits")} | {
    role: f"classifier/{role}" for role in ("weight", "bias")
}


@pytest.mark.parametrize(
    ("role", "logits"),
    [(role, logits) for role in FEEDS for logits in (True, False) if logits or role != "logits"],
)
def test_other_numbers_in_a_data_set_change_what_it_feeds_and_nothing_else(tmp_path, role, logits):
    path = write(tmp_path / "a.h5", logits=logits)
    before = measured(path)
    assert set(before) == {*NUMBERS, CALIBRATION, HESSIAN}
    with h5py.File(path, "r+") as file:
        disturb(PLACES[role])(file)
    after = measured(path)
    always, where_no_logits = FEEDS[role]
    expected = {*always} if logits else {*always, *where_no_logits}
    assert {name for name in before if before[name] != after[name]} == expected


@pytest.mark.parametrize("place", PLACES.values())
@pytest.mark.parametrize("logits", [True, False])
def test_without_a_data_set_what_it_feeds_is_undefined(tmp_path, place, logits):
    """Logits and bias have a stand-in (features W^T + b; zero), which is taken away as well."""
    path = tmp_path / "a.h5"
    shutil.copyfile(SAMPLE_FILE, path)
    gone = [place] if logits else [place, "train/logits"]
    if place == "train/logits":
        gone = [place, "classifier"]
    if place == "classifier/bias":
        gone = ["classifier", "train/logits"]
    fed = item(path, f"/{place}").feeds
    with h5py.File(path, "r+") as file:
        for name in dict.fromkeys(gone):
            del file[name]
    left = measured(path)
    for word in fed:
        if logits and place != "classifier/bias" and word.endswith(WHERE_NO_LOGITS):
            continue
        name = word.removesuffix(WHERE_NO_LOGITS)
        names = [one for one, meaning in quantities(collapse.CollapseReport).items()
                 if meaning.label == name] or [name]  # fmt: skip
        assert not set(names) & set(left), word


def test_train_features_feed_the_test_split_as_they_say(tmp_path):
    path = write(tmp_path / "a.h5")
    before = measured(path, "test")
    with h5py.File(path, "r+") as file:
        disturb("train/features")(file)
    after = measured(path, "test")
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"nc1_train_means", "nc4"}
    assert "nc1_train_means" in changed


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return run


def test_check_contents_prints_a_tree_and_a_verdict(check, capsys):
    assert check(["check", str(SAMPLE_FILE), "--contents", "--format", "table"]) == 0
    out = capsys.readouterr().out
    lines = [line.rstrip() for line in out.splitlines()]
    assert "format          nccli-checkpoint" in lines
    assert "classifier/" in lines
    assert "  weight      10x128 float16   2,560 contiguous one row a class" in lines
    assert (
        "/test/logits       NC4, accuracy, loss, non-target spread, calibration, Hessian" in lines
    )
    assert lines[-1] == "✓ can be analysed"
    assert max(map(len, lines)) <= 80


def test_json_holds_the_contents_and_the_finding(check, tmp_path, capsys):
    path = foreign(tmp_path / "foreign.h5", layouts)
    words = [str(SAMPLE_FILE), str(path), str(tmp_path / "missing.h5")]
    assert check(["check", *words, "--contents", "--format", "json"]) == 4
    captured = capsys.readouterr()
    good, odd, absent = json.loads(captured.out)
    names = "path ok problem remedy size modified attributes items more"
    assert list(good) == list(odd) == list(absent) == names.split()
    assert (good["ok"], good["problem"]) == (True, None)
    assert good["items"][1]["path"] == "/classifier/bias"
    assert list(good["items"][1]) == (
        "path kind shape dtype layout size feeds note depth attributes".split()
    )
    assert not odd["ok"]
    assert "not an nccli checkpoint" in odd["problem"]
    assert "format='nccli-checkpoint'" in odd["remedy"]
    assert len(odd["items"]) == 14
    assert (absent["ok"], absent["size"], absent["items"]) == (False, None, [])
    assert captured.err.count("\n") == 2


def test_exit_codes_are_those_of_check(check, tmp_path, capsys):
    foreign(tmp_path / "foreign.h5", layouts)
    for form in ("table", "csv", "auto"):
        options = ["--contents", "--format", form]
        assert check(["check", str(SAMPLE_FILE), *options]) == 0
        assert check(["check", str(tmp_path / "foreign.h5"), *options]) == 3
        assert check(["check", str(SAMPLE_FILE), str(tmp_path / "foreign.h5"), *options]) == 4
    assert "not an nccli checkpoint" in capsys.readouterr().err


def test_hostile_names_come_out_inert(check, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    evil = "\x1b[2J[@click=app.quit]x[red]\n"

    def change(file):
        file.attrs[evil] = np.bytes_(evil.encode())
        file[evil] = 1
        file["train"][evil] = h5py.SoftLink(evil)
        file.attrs["format_version"] = 1

    path = edited(tmp_path / "a.h5", change)
    assert check(["check", str(path), "--contents", "--format", "table"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("[@click=app.quit]x[red]") >= 3
    assert r"\x1b[2J" in out
