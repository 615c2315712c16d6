"""Files that mean harm, or were made by someone who did not think: each with what must be said."""

from __future__ import annotations

import os
import zlib

import h5py
import numpy as np
from trials import save

SECRET = b"the contents of another file, 16 floats of it ......................"


def _edited(path, change, **options):
    """A sound checkpoint of everyday h5py, changed."""
    with h5py.File(path, "w", **options) as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1, loss="cross-entropy")
        rng = np.random.default_rng(0)
        file["classifier/weight"] = rng.normal(size=(5, 8))
        file["train/features"] = rng.normal(size=(20, 8))
        file["train/labels"] = np.arange(20) % 5
        change(file)


def _swap(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


def _data_set(name, **options):
    def change(file):
        del file[name]
        file.create_dataset(name, **options)

    return change


def _outside(path, secret):
    def change(file):
        del file["train/features"]
        file.create_dataset("train/features", (2, 8), "f4", external=[(str(secret), 0, 64)])

    _edited(path, change)


def _virtual(path, source):
    def change(file):
        del file["train/features"]
        layout = h5py.VirtualLayout(shape=(20, 8), dtype="f8")
        layout[:] = h5py.VirtualSource(str(source), "train/features", shape=(20, 8))
        file.create_virtual_dataset("train/features", layout)

    _edited(path, change)


def _bomb(path, _):
    """4 GB of numbers in some kilobytes."""

    def change(file):
        del file["train/features"]
        made = file.create_dataset(
            "train/features", (2**16, 2**13), "f8", chunks=(1024, 2**13), compression="gzip",
            compression_opts=9, fillvalue=0,
        )  # fmt: skip
        for start in range(0, 2**16, 1024):
            made.id.write_direct_chunk((start, 0), b"x\x9c" + b"\0" * 500)

    _edited(path, change)


def _tall_labels(path, _):
    """192 million zeros for the labels of twenty samples, and a W of as many rows."""

    def change(file):
        packed = zlib.compress(bytes(2**26))
        del file["train/labels"]
        made = file.create_dataset("train/labels", (3 * 2**26,), "u1", chunks=(2**26,),
                                   compression="gzip")  # fmt: skip
        for start in range(0, 3 * 2**26, 2**26):
            made.id.write_direct_chunk((start,), packed)

    _edited(path, change)


def _tall_weight(path, _):
    def change(file):
        packed = zlib.compress(bytes(2**27))
        del file["classifier/weight"]
        made = file.create_dataset("classifier/weight", (2**27, 8), "f2", chunks=(2**23, 8),
                                   compression="gzip")  # fmt: skip
        for start in range(0, 2**27, 2**23):
            made.id.write_direct_chunk((start, 0), packed)

    _edited(path, change)


def _half_written(path, _):
    def change(file):
        del file["train/features"]
        made = file.create_dataset("train/features", (20, 8), "f8", chunks=(5, 8))
        made[:5] = 1.0

    _edited(path, change)


def _many_names(path, _):
    def change(file):
        for index in range(200):
            file[f"more{index}"] = file["train"]

    _edited(path, change)


def _odd_type(path, _):
    def change(file):
        del file["train/labels"]
        kind = h5py.h5t.STD_I32LE.copy()
        kind.set_size(3)
        h5py.h5d.create(file["train"].id, b"labels", kind, h5py.h5s.create_simple((20,)))

    _edited(path, change)


def _torn_chunk(path, _):
    def change(file):
        del file["train/features"]
        made = file.create_dataset("train/features", (20, 8), "f8", chunks=(20, 8), compression=9)
        made.id.write_direct_chunk((0, 0), b"not deflated at all, but it may be read as such")

    _edited(path, change)


def _unknown_filter(path, _):
    def change(file):
        del file["train/features"]
        rng = np.random.default_rng(0)
        file.create_dataset(
            "train/features", data=rng.normal(size=(20, 8)), chunks=(20, 8), fletcher32=True
        )

    _edited(path, change)
    content = path.read_bytes()
    known = b"\x03\x00\x0a\x00"  # number of the filter, length of its name
    assert content.count(known + b"\x01\x00") <= 1
    place = content.find(b"fletcher32\0") - 8
    path.write_bytes(content[:place] + b"\x01\x7d" + content[place + 2 :])


def _endless_text(path, _):
    """One long text, referred to by every element."""

    def change(file):
        file.attrs["class_names"] = ["x" * 60_000] * 400

    _edited(path, change, libver="latest")


def _loop(path, _):
    def change(file):
        del file["train"]
        file["train"] = file["/"]
        file["up"] = file["/"]

    _edited(path, change)


def _saved(path, features=None, labels=None, **metadata):
    save(path, **metadata)
    with h5py.File(path, "r+") as file:
        if features is not None:
            del file["train/features"]
            file["train/features"] = features
        if labels is not None:
            del file["train/labels"]
            file["train/labels"] = labels


NAN = np.where(np.arange(160).reshape(20, 8) == 77, np.nan, 1.0)

# name: (maker(path, secret), what is said of it, or None where it is to be read after all)
ATTACKS = {
    "soft link": (
        lambda path, _: _edited(path, _swap("train/features", h5py.SoftLink("/train/labels"))),
        "SoftLink, which is never followed",
    ),
    "link to itself": (
        lambda path, _: _edited(path, _swap("train", h5py.SoftLink("/train"))),
        "SoftLink, which is never followed",
    ),
    "link to another file": (
        lambda path, secret: _edited(
            path, _swap("train", h5py.ExternalLink(str(secret), "/train"))
        ),
        "ExternalLink, which is never followed",
    ),
    "link of a side group": (
        lambda path, secret: _edited(
            path, lambda file: file.update({"val": h5py.ExternalLink(str(secret), "/")})
        ),
        "ExternalLink, which is never followed",
    ),
    "external storage": (_outside, "keeps its data outside the file"),
    "virtual": (_virtual, "keeps its data outside the file"),
    "virtual of itself": (lambda path, _: _virtual(path, path), "keeps its data outside the file"),
    "bomb": (_bomb, "declares 4,294,967,296 bytes and stores"),
    "tall labels": (_tall_labels, r"train/labels must have shape \(20,\), got \(201326592,\)"),
    "tall weight": (_tall_weight, "classifier/weight takes 2,147,483,648 bytes of memory"),
    "half written": (_half_written, "was not written whole: 1 of 4 chunks are there"),
    "one split of many names": (_many_names, "one data set stands under many names"),
    "labels of 24 bits": (_odd_type, "train/labels is of a type that NumPy does not know"),
    "side split that leads out": (
        lambda path, secret: _edited(
            path,
            lambda file: (
                file.create_group("val").__setitem__(
                    "features", h5py.ExternalLink(str(secret), "/x")
                )
                or file["val"].__setitem__("labels", h5py.SoftLink("/train/labels"))
            ),
        ),
        "is a ExternalLink, which is never followed",
    ),
    "torn chunk": (_torn_chunk, "HDF5 library cannot read it"),
    "one huge chunk": (
        lambda path, _: _edited(
            path,
            _data_set(
                "train/features",
                shape=(2**15, 2**13),
                dtype="f8",
                chunks=(2**12, 2**13),
                compression="gzip",
                data=None,
                fillvalue=1.0,
            ),
        ),
        "never written",
    ),
    "chunk of 512 MiB": (
        lambda path, _: _edited(
            path,
            lambda file: (
                file.__delitem__("train/features"),
                file.create_dataset(
                    "train/features", (20, 8), "f8", chunks=(20, 8), maxshape=(None, None)
                ),
                file["train/features"].__setitem__(0, 1.0),
                file.__delitem__("train/labels"),
                file.create_dataset(
                    "train/labels",
                    (20,),
                    "i8",
                    chunks=(2**26,),
                    maxshape=(None,),
                    compression="gzip",
                ),
                file["train/labels"].__setitem__(0, 1),
            ),
        ),
        "has chunks of 536,870,912 bytes",
    ),
    "never written": (
        lambda path, _: _edited(
            path, _data_set("train/features", shape=(10**9, 8), dtype="f8", chunks=(10**5, 8))
        ),
        "never written",
    ),
    "unknown filter": (_unknown_filter, "packed by filter 32001, which nccli does not load"),
    "endless text": (_endless_text, "'class_names' has 24,000,000 bytes"),
    "huge attribute": (
        lambda path, _: _edited(
            path, lambda file: file.attrs.create("loss", np.bytes_(b"x" * 2**23)), libver="latest"
        ),
        "'loss' has 8,388,608 bytes",
    ),
    "a reference for an attribute": (
        lambda path, _: _edited(path, lambda file: file.attrs.create("epoch", file.ref)),
        "'epoch' holds what is never read",
    ),
    "lists for an attribute": (
        lambda path, _: _edited(
            path,
            lambda file: file.attrs.create(
                "seed", np.array([np.ones(2), np.ones(3)], object), dtype=h5py.vlen_dtype("f8")
            ),
        ),
        "'seed' holds what is never read",
    ),
    "a crowd of names": (
        lambda path, _: _edited(
            path, lambda file: [file.create_group(f"n{index}") for index in range(1500)]
        ),
        "holds 1,502 root names",
    ),
    "the root in itself": (_loop, "train/features is there but|holds no split|must be a group"),
    "references for features": (
        lambda path, _: _edited(
            path, _data_set("train/features", shape=(20, 8), dtype=h5py.ref_dtype)
        ),
        "holds references",
    ),
    "lists for labels": (
        lambda path, _: _edited(
            path, _data_set("train/labels", shape=(20,), dtype=h5py.vlen_dtype("i8"))
        ),
        "holds lists",
    ),
    "text for labels": (
        lambda path, _: _edited(path, _swap("train/labels", ["zero"] * 20)),
        "holds text",
    ),
    "records for features": (
        lambda path, _: _edited(path, _swap("train/features", np.ones((20, 8), [("a", "f4")]))),
        "must hold floats",
    ),
    "bfloat16 as uint16": (
        lambda path, _: _edited(path, _swap("train/features", np.full((20, 8), 16256, "u2"))),
        "must hold floats, got uint16",
    ),
    "long double": (
        lambda path, _: _edited(path, _swap("train/features", np.ones((20, 8), np.longdouble))),
        "must be float16, float32 or float64",
    ),
    "label -1": (
        lambda path, _: _saved(path, labels=np.arange(20) % 5 - 1),
        r"train/labels must lie in 0\.\.4, found -1",
    ),
    "label K": (
        lambda path, _: _saved(path, labels=np.arange(20) % 6),
        r"train/labels must lie in 0\.\.4, found 5",
    ),
    "NaN": (lambda path, _: _saved(path, features=NAN), r"holds NaN \(1 value, first in row 9\)"),
    "squares overflow": (
        lambda path, _: _saved(path, features=np.full((20, 8), 1e200)),
        "whose squares overflow",
    ),
    "a pickle": (
        lambda path, _: path.write_bytes(
            b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
        ),
        "not an HDF5 file",
    ),
    "text": (lambda path, _: path.write_text("epoch,loss\n1,0.5\n"), "not an HDF5 file"),
    "a pipe": (lambda path, _: os.mkfifo(path), "not a regular file"),
    "a directory": (lambda path, _: path.mkdir(), "no run and no .h5 file|not a regular file"),
    "a loop of links": (lambda path, _: path.symlink_to(path.name), "no such file|looked up"),
    "a format of escapes": (
        lambda path, _: _edited(path, lambda file: file.attrs.create("format", "\x1b]0;owned\x07")),
        r"'\\x1b\]0;owned\\x07', expected",
    ),
    "a format of another version": (
        lambda path, _: _edited(path, lambda file: file.attrs.create("format_version", 2)),
        "format version 2, this nccli reads 1 to 1; upgrade nccli",
    ),
}

# These are read, and are not to be obeyed.
WORDS = {
    "escapes": "\x1b[31mred\x1b]8;;http://x\x07",
    "markup": "[@click=app.quit]click me[/]",
    "rich markup": "[bold red]loud[/bold red]",
    "newline": "one\ntwo",
    "override": "safe\u202egpj.exe",
}
