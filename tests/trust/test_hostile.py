"""Every hostile file is refused in one line, through the command line; nothing else is opened."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from attacks import ATTACKS, SECRET, WORDS
from trials import content, save

from nccli import hdf5
from nccli.contents import contents
from nccli.errors import InputError

COMMANDS = (["analyze"], ["hessian"], ["calibrate"], ["check", "--verify"], ["check", "--contents"])


def nccli(*words, **options):
    """Run a command as a user would; it must not take for ever."""
    return subprocess.run(
        [sys.executable, "-m", "nccli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.fixture
def secret(tmp_path):
    """A file that no other may lead to, and a way to tell whether it was opened."""
    place = tmp_path / "secret.h5"
    place.write_bytes(SECRET)
    return place


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_with_its_reason(tmp_path, secret, name):
    make, message = ATTACKS[name]
    path = tmp_path / "hostile.h5"
    make(path, secret)
    opened = watch(secret)
    with pytest.raises(InputError, match=message) as caught:
        read_whole(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1
    assert not opened()


def read_whole(path):
    """Read everything, as an analysis might."""
    checkpoint = hdf5.read_checkpoint(path)
    for split in checkpoint.splits.values():
        split.features.load()


def test_the_rest_of_the_batch_goes_on(tmp_path, secret):
    """All attacks in one directory, with one sound file, through each command."""
    folder = tmp_path / "files"
    folder.mkdir()
    save(folder / "sound.h5")
    made = []
    for index, name in enumerate(ATTACKS):
        path = folder / f"{index:02}.h5"
        ATTACKS[name][0](path, secret)
        made.append(path)
    only_features = [made[list(ATTACKS).index(name)] for name in ("NaN", "squares overflow")]
    made = [path for path in made if not path.is_dir()]
    opened = watch(secret)
    for words in COMMANDS:
        done = nccli(*words, *made, folder / "sound.h5", "--format", "json")
        assert done.returncode == 4, (words, done.stderr)
        assert "Traceback" not in done.stderr
        records = json.loads(done.stdout)
        sound = [one for one in records if one["path"].endswith("sound.h5")]
        assert sound
        assert all(one.get("ok", True) for one in sound)
        for path in made:
            if words == ["calibrate"] and path in only_features:
                continue  # the logits are sound, and all that is asked for
            lines = [line for line in done.stderr.splitlines() if f"{path}: " in line]
            assert len(lines) == 1, (words, path, lines)
    assert not opened()


def test_contents_of_every_attack_are_listed_or_refused(tmp_path, secret):
    opened = watch(secret)
    for index, (make, _) in enumerate(ATTACKS.values()):
        path = tmp_path / f"{index}.h5"
        make(path, secret)
        with suppress(InputError):
            assert contents(path).items
    assert not opened()


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("form", ["table", "json", "csv", "md"])
def test_words_of_a_file_are_inert(tmp_path, word, form):
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    path = save(folder / "epoch-00001.h5", dataset=word, architecture=word, loss=word, class_names=(
        word, "b", "c", "d", "e"))  # fmt: skip
    for words in (["analyze"], ["check", "--contents"], ["check"]):
        done = nccli(*words, path, "--format", form)
        assert done.returncode == 0, done.stderr
        assert "\x1b]" not in done.stdout + done.stderr
        assert "\u202e" not in done.stdout + done.stderr
        if form == "json":
            json.loads(done.stdout)


def test_a_name_in_the_file_system_is_inert(tmp_path):
    path = tmp_path / "\x1b[31m[bold]red\n.h5"
    path.write_bytes(b"no HDF5")
    done = nccli("check", path)
    assert done.returncode == 3
    assert "\x1b" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- what is unusual, and sound -------------------------------------------------------------------


def _copied(path, target, **options):
    """The same checkpoint, written by h5py in another way."""
    import h5py

    described = hdf5.describe(path)
    with h5py.File(target, "w", **options.pop("file", {})) as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1, epoch=1, seed=0)
        file.attrs.update(loss="cross-entropy", software="{}")
        for name, array in described.arrays().items():
            values = array.rows(0, array.shape[0])
            kind = values.dtype.newbyteorder(options.get("order", "="))
            file.create_dataset(name, data=values.astype(kind), **options.get("data", {}))
    return target


@pytest.mark.parametrize(
    "options",
    [
        {"order": ">"},
        {"file": {"userblock_size": 512}},
        {"file": {"libver": "latest"}},
        {"file": {"track_order": True}},
        {"data": {"chunks": True}},
        {"data": {"chunks": True, "compression": "gzip", "shuffle": True}},
        {"data": {"chunks": True, "compression": "lzf", "fletcher32": True}},
    ],
    ids=str,
)
def test_files_of_other_writers_give_the_same_numbers(tmp_path, options):
    path = save(tmp_path / "a.h5")
    other = _copied(path, tmp_path / "b.h5", **options)
    assert content(other) == content(path)
    both = [nccli("analyze", one, "--format", "json") for one in (path, other)]
    first, second = (json.loads(done.stdout) for done in both)
    assert [one | {"path": ""} for one in first] == [one | {"path": ""} for one in second]


def test_a_large_file_is_only_as_large_as_it_says(tmp_path):
    path = save(tmp_path / "a.h5")
    with path.open("ab") as file:
        file.truncate(2**40)  # a sparse terabyte behind it
    assert content(path) == content(save(tmp_path / "b.h5"))


# --- what the process that opens files may do -----------------------------------------------------


def test_the_commands_change_no_input(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    paths = [save(folder / f"epoch-{epoch:05}.h5", epoch=epoch) for epoch in (1, 2)]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    for words in (*COMMANDS, ["compare"]):
        nccli(*words, tmp_path)
    screen = tmp_path / "screen.svg"
    assert nccli("view", tmp_path, "--screenshot", screen).returncode == 0
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths} == before


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_strace_shows_no_foreign_open_connect_or_exec(tmp_path, secret):
    made = []
    for index, (make, _) in enumerate(ATTACKS.values()):
        path = tmp_path / f"{index}.h5"
        make(path, secret)
        made += [] if path.is_dir() or path.is_fifo() else [path]
    log = tmp_path / "log"
    calls = "open,openat,openat2,connect,execve,execveat,socket,unlink,rename"
    words = [sys.executable, "-m", "nccli", "check", *map(str, made), "--contents"]
    subprocess.run(
        ["strace", "-f", "-o", log, "-e", f"trace={calls}", *words],
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    lines = log.read_text(errors="replace").splitlines()
    programs = [line.split('"')[1] for line in lines if "execve(" in line]
    # h5py asks Python's platform module for the machine's name when it is imported
    assert {Path(program).name for program in programs} <= {Path(sys.executable).name, "uname"}
    assert not [line for line in lines if "connect(" in line or "socket(" in line]
    assert not [line for line in lines if secret.name in line]
    written = [line for line in lines if "O_WRONLY" in line or "O_RDWR" in line]
    assert not [line for line in written if str(tmp_path) in line]


def watch(path):
    """Return a function that tells whether the file has been opened since, by anyone (inotify)."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "inotify_init1"):
        return lambda: False
    descriptor = library.inotify_init1(os.O_NONBLOCK)
    in_open = 0x20
    assert library.inotify_add_watch(descriptor, os.fsencode(path), in_open) >= 0

    def opened():
        try:
            return bool(os.read(descriptor, 4096))
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)

    return opened


def test_the_watch_sees_an_open(secret):
    """The control: were the secret opened, the tests above would say so."""
    opened = watch(secret)
    secret.read_bytes()
    assert opened()


def test_numbers_are_those_that_were_written(tmp_path):
    """The control of `content`: another epoch has other numbers."""
    assert content(save(tmp_path / "a.h5")) != content(save(tmp_path / "b.h5", epoch=2))
    assert np.isfinite(hdf5.read_checkpoint(tmp_path / "a.h5").split("train").features.load()).all()
