"""`nccli import`: every format to the same checkpoint, and what is refused with its reason."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pyarrow
import pytest
from conftest import network
from pyarrow import parquet
from typer.testing import CliRunner

from nccli import hdf5
from nccli.cli.app import app
from nccli.errors import InputError, NccliError, UsageError
from nccli.importing import Wanted, import_checkpoint
from nccli.importing.discovering import discover
from nccli.importing.safetensors_file import widened
from nccli.validate import validate


@pytest.fixture
def arrays():
    h, y, weight, bias = network(0, count=40)
    return {
        "features": h.astype("f4"),
        "labels": y,
        "logits": (h @ weight.T + bias).astype("f4"),
        "weight": weight.astype("f4"),
        "bias": bias.astype("f4"),
    }


def call(*words):
    """Run the command line; its error, if any, is raised."""
    found = CliRunner().invoke(app, ["import", *map(str, words)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


def as_read(path):
    described = hdf5.describe(path)
    return {name: one.rows(0, one.shape[0]) for name, one in described.arrays().items()}


def assert_same(path, arrays, split="train"):
    found = as_read(path)
    for name, array in arrays.items():
        place = "classifier" if name in ("weight", "bias") else split
        np.testing.assert_array_equal(found[f"{place}/{name}"], array)
    assert validate(path, verify=True).ok


def save_safetensors(path, tensors, **kinds):
    """Write the format by hand."""
    names = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "uint8": "U8"}
    header, blob = {"__metadata__": {"format": "pt"}}, b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": kinds.get(name, names.get(str(array.dtype))),
            "shape": list(array.shape),
            "data_offsets": [len(blob), len(blob) + len(raw)],
        }
        blob += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob)
    return path


def save_hdf5(path, arrays, **options):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **(options if array.ndim == 2 else {}))
    return path


SAVERS = {
    "npz": lambda path, arrays: np.savez(path.with_suffix(".npz"), **arrays),
    "npz packed": lambda path, arrays: np.savez_compressed(path.with_suffix(".npz"), **arrays),
    "safetensors": lambda path, arrays: save_safetensors(path.with_suffix(".safetensors"), arrays),
    "hdf5": lambda path, arrays: save_hdf5(path.with_suffix(".hdf5"), arrays),
    "hdf5 packed": lambda path, arrays: save_hdf5(
        path.with_suffix(".h5"), arrays, chunks=(3, 4), compression="gzip"
    ),
}


@pytest.mark.parametrize("kind", SAVERS)
def test_every_format_gives_the_same_checkpoint(tmp_path, arrays, kind):
    folder = tmp_path / "in"
    folder.mkdir()
    SAVERS[kind](folder / "data", arrays)
    (source,) = folder.iterdir()
    done = call(source, "--out", tmp_path / "a.h5", "--loss", "ls", "--smoothing", "0.1",
                "--epoch", "7", "--seed", "3", "--weight-decay", "5e-4", "--dataset", "mine",
                "--architecture", "net")  # fmt: skip
    assert done.stdout == f"{tmp_path / 'a.h5'}\n"
    assert_same(tmp_path / "a.h5", arrays)
    said = hdf5.read_checkpoint(tmp_path / "a.h5").metadata
    assert (said.loss, said.label_smoothing, said.epoch, said.seed, said.weight_decay) == (
        "label-smoothing", 0.1, 7, 3, 5e-4,
    )  # fmt: skip


def test_files_of_several_formats_make_one_checkpoint(tmp_path, arrays):
    np.save(tmp_path / "f.npy", np.asfortranarray(arrays["features"]))
    rows = "\n".join(f"{index}.png,{label}" for index, label in enumerate(arrays["labels"]))
    (tmp_path / "y.csv").write_text("\ufefffile,label\n" + rows)
    save_safetensors(tmp_path / "m.safetensors", {"fc.weight": arrays["weight"],
                                                  "fc.bias": arrays["bias"]})  # fmt: skip
    call("--features", tmp_path / "f.npy", "--labels", f"{tmp_path / 'y.csv'}:label",
         "--weight", f"{tmp_path / 'm.safetensors'}:fc.weight",
         "--bias", f"{tmp_path / 'm.safetensors'}:fc.bias", "--out", tmp_path / "a.h5")  # fmt: skip
    del arrays["logits"]
    assert_same(tmp_path / "a.h5", arrays)


def test_splits_are_found_by_their_names_and_can_be_named(tmp_path, arrays):
    h, y = arrays["features"], arrays["labels"]
    np.savez(tmp_path / "a.npz", train_feats=h, train_targets=y, val_embeddings=h[:9], val_y=y[:9])
    call(tmp_path / "a.npz", "--out", tmp_path / "a.h5")
    assert sorted(as_read(tmp_path / "a.h5")) == [
        "train/features", "train/labels", "val/features", "val/labels",
    ]  # fmt: skip
    call(tmp_path / "a.npz", "--out", tmp_path / "b.h5", "--features", "test=val_embeddings",
         "--labels", "test=val_y", "--features", "train_feats")  # fmt: skip
    assert_same(tmp_path / "b.h5", {"features": h[:9], "labels": y[:9]}, split="test")


def test_any_path_in_an_hdf5_file_can_be_named(tmp_path, arrays):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["net/layer4/out"], file["net/y"] = arrays["features"], arrays["labels"]
    call(tmp_path / "in.h5", "--features", "/net/layer4/out", "--labels", "/net/y", "--out",
         tmp_path / "run", "--epoch", "12")  # fmt: skip
    place = tmp_path / "run" / "checkpoints" / "epoch-00012.h5"
    assert_same(place, {"features": arrays["features"], "labels": arrays["labels"]})


def test_parquet_and_names_for_labels(tmp_path, arrays):
    words = np.array(["cat", "ant", "dog", "bee", "eel"])[arrays["labels"]]
    parquet.write_table(pyarrow.table({"word": words}), tmp_path / "y.parquet")
    np.save(tmp_path / "f.npy", arrays["features"])
    done = call(tmp_path / "f.npy", "--labels", tmp_path / "y.parquet", "--out", tmp_path / "a.h5")
    assert "train/labels: 5 names, numbered in alphabetical order" in done.stderr
    names = hdf5.read_checkpoint(tmp_path / "a.h5").metadata.class_names
    assert names == ("ant", "bee", "cat", "dog", "eel")
    found = as_read(tmp_path / "a.h5")["train/labels"]
    assert [names[label] for label in found] == words.tolist()


def test_bfloat16_keeps_every_bit(tmp_path, arrays):
    exact = widened((arrays["features"].view("<u4") >> 16).astype("<u2"))
    bits = (exact.view("<u4") >> 16).astype("<u2")
    save_safetensors(tmp_path / "a.safetensors", {"features": bits, "labels": arrays["labels"]},
                     features="BF16")  # fmt: skip
    call(tmp_path / "a.safetensors", "--out", tmp_path / "a.h5")
    np.testing.assert_array_equal(as_read(tmp_path / "a.h5")["train/features"], exact)
    np.savez(tmp_path / "b.npz", features=bits, labels=arrays["labels"])
    with pytest.raises(InputError, match="may be the bits of bfloat16; --bfloat16 reads them so"):
        call(tmp_path / "b.npz", "--out", tmp_path / "b.h5")
    call(tmp_path / "b.npz", "--out", tmp_path / "b.h5", "--bfloat16")
    np.testing.assert_array_equal(as_read(tmp_path / "b.h5")["train/features"], exact)


def test_shapes_of_other_frameworks_are_turned_and_told(tmp_path, arrays):
    h, y, w = arrays["features"], arrays["labels"], arrays["weight"]
    np.savez(tmp_path / "a.npz", features=h[:, :, None, None], labels=np.eye(5)[y], weight=w.T)
    notes = import_checkpoint(Wanted(source=tmp_path / "a.npz"), tmp_path / "a.h5")
    assert notes == [
        "train/features: shape (40, 8, 1, 1) without its trailing ones",
        "train/labels: one-hot rows as class numbers",
        "classifier/weight: shape (8, 5), turned to (5, 8)",
    ]
    assert_same(tmp_path / "a.h5", {"features": h, "labels": y, "weight": w})
    np.savez(tmp_path / "b.npz", features=h, labels=y[:, None] + 1.0)
    wanted = Wanted(source=tmp_path / "b.npz", first_label=1)
    assert import_checkpoint(wanted, tmp_path / "b.h5") == [
        "train/labels: whole numbers kept as float64",
        "train/labels: numbered from 1, here from 0",
    ]
    assert_same(tmp_path / "b.h5", {"features": h, "labels": y})


WRONG = {
    "no features": ({"features": None}, "nothing in .* is called features; --features NAME"),
    "no labels": ({"labels": None}, "no labels of train were named; --labels train=NAME"),
    "integers": ({"features": np.ones((40, 8), int)}, "holds int64, not floats; is it the labels"),
    "maps": ({"features": np.ones((40, 8, 7, 7))}, r"must have shape \(N, d\), got \(40, 8, 7, 7"),
    "NaN": ({"features": np.full((40, 8), np.nan)}, "train/features holds NaN"),
    "complex": ({"features": np.ones((40, 8), complex)}, "holds complex128; convert it to float32"),
    "fractions": ({"labels": np.full(40, 0.5)}, "holds fractions or NaN; give class numbers"),
    "soft rows": ({"labels": np.full((40, 5), 0.2)}, "is not one-hot"),
    "too few": (
        {"labels": np.zeros(39, int)},
        r"train/labels must have shape \(40,\), got \(39,\)",
    ),
    "from one": ({"labels": np.arange(40) % 5 + 1}, r"must lie in 0\.\.4, found 5"),
    "another layer": ({"weight": np.ones((5, 9))}, r"must have shape \(K, 8\), got \(5, 9\)"),
    "a cube": ({"labels": np.zeros((40, 2, 2), int)}, r"must have shape \(N,\), got \(40, 2, 2\)"),
    "dates": ({"labels": np.zeros(40, "M8[D]")}, r"train/labels holds datetime64"),
    "two names": ({"feats": np.ones((40, 8))}, "could both be the features; say which"),
    "bias alone": ({"weight": None}, "a bias was named and no weight"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_with_its_reason(tmp_path, arrays, name):
    changes, message = WRONG[name]
    held = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(tmp_path / "a.npz", **held)
    with pytest.raises(NccliError, match=message):
        call(tmp_path / "a.npz", "--out", tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def bomb(path):
    """An array of four gigabytes of zeros in some kilobytes, four times packed."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (2**29,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", header.getvalue())
    content = bytearray(path.read_bytes())
    for place in (content.find(b"PK\x03\x04") + 22, content.find(b"PK\x01\x02") + 24):
        content[place : place + 4] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(content)


def torch_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))


def tensors(change):
    def make(path):
        save_safetensors(path, {"features": np.ones((4, 2)), "labels": np.zeros(4, int)})
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        text = json.dumps(change(header)).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return make


def placed(**changes):
    return tensors(lambda header: header | {"features": header["features"] | changes})


HOSTILE = {
    "a.pt": (lambda path: torch_file(path), "a pickle, which is never loaded"),
    "b.npz": (torch_file, "a PyTorch file: its pickle is never loaded"),
    "c.npz": (bomb, "says it unpacks to 4,294,967,295 bytes from|damaged"),
    "d.npz": (lambda path: path.write_bytes(b"PK\x03\x04" + b"x" * 50), "damaged .npz"),
    "e.npy": (lambda path: np.save(path, np.array([{}, []], object), allow_pickle=True),
              "holds Python objects"),
    "f.npy": (lambda path: path.write_bytes(b"\x93NUMPY\x01\0\x10\0{'descr': __impo"),
              "damaged .npy header"),
    "g.npy": (lambda path: (np.save(path, np.ones((9, 9))),
                            path.write_bytes(path.read_bytes()[:300])),
              "says it holds 776 bytes and has 300"),
    "h.pkl": (lambda path: path.write_bytes(pickle.dumps([1])), "a pickle, which is never loaded"),
    "i.csv": (lambda path: path.write_bytes(b"\xff\xfe\x00\x01" * 9), "no table of text"),
    "j.csv": (lambda path: path.write_text("a,b\n1,2\n3\n"), "row 3 has 1 fields, the first has 2"),
    "k.csv": (lambda path: path.write_text("\n\n"), "an empty table"),
    "l.parquet": (lambda path: path.write_bytes(b"PAR1" * 5), "no sound Parquet file"),
    "m.safetensors": (lambda path: path.write_bytes(b"\xff" * 20), "header is longer"),
    "n.safetensors": (lambda path: path.write_bytes(struct.pack("<Q", 4) + b"nope"),
                      "header cannot be read"),
    "o.safetensors": (placed(data_offsets=[0, 72]), "does not fit its place"),
    "p.safetensors": (placed(data_offsets=[32, 96]), "two tensors overlap"),
    "q.safetensors": (placed(shape=[-4, -2]), "a shape or place that is no number"),
    "r.safetensors": (placed(dtype="F8_E4M3"), "'F8_E4M3', which is not read"),
    "s.safetensors": (placed(shape=[2**40, 2**40]), "does not fit its place"),
    "t.safetensors": (tensors(lambda header: [header]), "header cannot be read"),
    "u.gif": (lambda path: path.write_bytes(b"GIF89a"), "a kind of file that is not read"),
    "v.npy": (lambda path: path.write_bytes(b"hello"), "is called .npy and is none"),
    "w.h5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "HDF5"),
    "x.npz": (lambda _: None, "no such file"),
    "y.npz": (lambda path: path.touch(), "the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line_that_names_it(tmp_path, name):
    make, message = HOSTILE[name]
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        call(path, "--features", "features", "--labels", "labels", "--out", tmp_path / "out.h5")
    assert str(caught.value).startswith(str(path))
    assert not (tmp_path / "out.h5").exists()


def test_links_of_a_hostile_hdf5_file_are_not_followed(tmp_path):
    save_hdf5(tmp_path / "secret.h5", {"x": np.ones((4, 2))})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
        file["labels"] = np.zeros(4, int)
        file["group/inside"] = np.ones((4, 2))
    for reference, message in (
        ("features", "holds no 'features'; it holds: "),
        ("group", "holds no 'group'"),
        ("group/inside/x", "holds no 'group/inside/x'"),
    ):
        with pytest.raises(InputError, match=message):
            call(tmp_path / "a.h5", "--features", reference, "--out", tmp_path / "out.h5")
    with pytest.raises(InputError, match="'features' is a ExternalLink, which is never followed"):
        hdf5.array_at(tmp_path / "a.h5", "features")
    with pytest.raises(InputError, match="group must be a data set, found a group"):
        hdf5.array_at(tmp_path / "a.h5", "group")
    with pytest.raises(InputError, match="holds no 'nowhere'"):
        hdf5.array_at(tmp_path / "a.h5", "nowhere/x")


def test_nothing_is_overwritten_unasked(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    call(tmp_path / "a.npz", "--out", tmp_path / "a.h5")
    before = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(UsageError, match=r"a\.h5 is there already; --overwrite replaces it"):
        call(tmp_path / "a.npz", "--out", tmp_path / "a.h5", "--epoch", "3")
    assert (tmp_path / "a.h5").read_bytes() == before
    call(tmp_path / "a.npz", "--out", tmp_path / "a.h5", "--epoch", "3", "--overwrite")
    assert hdf5.read_checkpoint(tmp_path / "a.h5").metadata.epoch == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "run"], "is a run directory, and there no epoch"),
        (["--out", "no/such/a.h5"], "no such directory"),
        (["--out", "a.h5", "--loss", "ce", "--smoothing", "0.1"], "--loss ce has no --smoothing"),
        (["--out", "a.h5", "--features", "x", "--features", "y"], "two --features of train"),
        (["--out", "a.h5", "--class-names", "gone.txt"], "gone.txt: cannot be read"),
        (
            ["--out", "a.h5", "--labels", "in.npz"],
            "in.npz holds several arrays; say which, in.npz:",
        ),
    ],
)
def test_a_wrong_command_line_is_told(tmp_path, monkeypatch, arrays, words, message):
    monkeypatch.chdir(tmp_path)
    np.savez("in.npz", **arrays)
    with pytest.raises(NccliError, match=message):
        call("in.npz", *words)


def test_class_names_come_from_a_file_and_agree_between_splits(tmp_path, arrays):
    h = arrays["features"]
    np.savez(tmp_path / "a.npz", train_x=h, train_y=np.array(list("ab") * 20), test_x=h,
             test_y=np.array(list("ac") * 20))  # fmt: skip
    with pytest.raises(InputError, match="the labels of test are other words than"):
        call(tmp_path / "a.npz", "--out", tmp_path / "a.h5")
    np.savez(tmp_path / "b.npz", **arrays)
    (tmp_path / "names.txt").write_text("v\nw\nx\ny\nz\n")
    call(tmp_path / "b.npz", "--class-names", tmp_path / "names.txt", "--out", tmp_path / "b.h5")
    assert hdf5.read_checkpoint(tmp_path / "b.h5").metadata.class_names == tuple("vwxyz")


def test_names_are_understood_as_people_mean_them():
    found = discover(
        ["train/features", "train/labels", "test.feats", "y_test", "model.fc.weight", "fc_bias",
         "layer1.weight", "images", "train_test_x", "epoch"], "train",
    )  # fmt: skip
    assert found == (
        {
            "train": {"features": "train/features", "labels": "train/labels"},
            "test": {"features": "test.feats", "labels": "y_test"},
        },
        {"weight": "model.fc.weight", "bias": "fc_bias"},
    )


def test_large_arrays_are_mapped_and_never_loaded_whole(tmp_path):
    """128 MB of features through 64 MB of memory beyond the interpreter's."""
    import subprocess
    import sys

    h = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", "f4", (2**18, 128))
    h[:] = 1.0
    h[:, 0] = np.arange(2**18) % 7
    h.flush()
    np.save(tmp_path / "y.npy", np.arange(2**18) % 7)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from nccli.importing import Wanted, import_checkpoint\n"
        "import nccli.hdf5.skeleton\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "taken = 1024 * int(next(l for l in lines if l.startswith('VmData')).split()[1])\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (taken + 2**26,) * 2)\n"
        "parts = {'train': {'features': sys.argv[1], 'labels': sys.argv[2]}}\n"
        "import_checkpoint(Wanted(parts=parts), Path(sys.argv[3]))\n"
    )
    words = [sys.executable, "-c", code, tmp_path / "f.npy", tmp_path / "y.npy", tmp_path / "a.h5"]
    subprocess.run(words, check=True, timeout=120)
    described = hdf5.describe(tmp_path / "a.h5")
    assert described.content_sha256 == hdf5.computed_hash(described)
