"""Corners of the reader and the publisher that no ordinary file comes to."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import resource
import threading

import h5py
import numpy as np
import pytest
from trials import content, save

from nccli import hdf5, publish
from nccli.contents import contents
from nccli.errors import ContentError, FormatError, InputError, NotFoundError
from nccli.hdf5.skeleton import _Memory
from nccli.hdf5.stored import StoredArray
from nccli.identity import Identity
from nccli.reader import asking, child, objects, opening, schema, serve, tree
from nccli.reader.limits import Limits


def edited(path, change):
    save(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


# --- paths and files that change ------------------------------------------------------------------


def test_a_path_that_cannot_be_looked_up_is_told():
    with pytest.raises(NotFoundError, match="cannot be looked up"):
        hdf5.read_checkpoint("a" * 300 + ".h5")


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    path = save(tmp_path / "a.h5")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root everything may be read
    with pytest.raises(NotFoundError, match="no permission to read it"):
        hdf5.read_checkpoint(path)


def test_a_file_that_vanishes_is_told(tmp_path):
    path = save(tmp_path / "a.h5")
    features = hdf5.read_checkpoint(path).split("train").features
    path.unlink()
    with pytest.raises(FormatError, match=r"a\.h5: vanished while it was being read"):
        features.load()


def test_an_array_beyond_the_end_of_the_file_is_refused(tmp_path):
    told = {"name": "train/features", "shape": [9, 9], "dtype": "<f8", "offset": 100,
            "chunk_rows": None}  # fmt: skip
    identity = Identity(device=0, inode=0, size=700, modified_ns=0)
    with pytest.raises(FormatError, match="train/features ends at byte 748 of 700"):
        StoredArray.of(told, tmp_path / "a.h5", identity)


def test_an_empty_range_has_no_rows(tmp_path):
    features = hdf5.read_checkpoint(save(tmp_path / "a.h5")).split("train").features
    assert features.rows(3, 3).shape == (0, 8)

    def change(file):
        del file["train/features"]
        file.create_dataset("train/features", data=np.ones((20, 8)), chunks=(3, 8))

    path = edited(tmp_path / "b.h5", change)
    described = hdf5.describe(path).splits["train"]["features"]
    assert list(described._unpacked(3, 3, 1)) == []


@pytest.mark.parametrize("question", ["describe", "rows"])
def test_a_file_that_is_replaced_while_it_is_open_is_noticed(tmp_path, monkeypatch, question):
    path = str(save(tmp_path / "a.h5"))
    known = opening.identity_of(path)
    seen = iter([known, known | {"inode": 1}])
    monkeypatch.setattr(schema, "identity_of", lambda _: next(seen))
    more = {}
    if question == "rows":
        next(seen)
        more = {"name": "train/labels", "start": 0, "stop": 2, "size": 16, "identity": known}
    with pytest.raises(FormatError, match="changed while it was being read"):
        getattr(schema, question)(path, **more, limits=Limits())


def test_what_was_a_group_may_have_become_a_data_set(tmp_path):
    path = edited(tmp_path / "a.h5", lambda file: file.update({"val": np.ones(3)}))
    with pytest.raises(FormatError, match="val must be a group, found a data set"):
        schema.rows(str(path), name="val/features", start=0, stop=1, size=8,
                    identity={}, limits=Limits())  # fmt: skip


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EIO])
def test_a_file_that_the_system_does_not_give_is_not_called_damaged(tmp_path, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, "no")

    path = str(save(tmp_path / "a.h5"))
    monkeypatch.setattr(h5py, "File", fail)
    with pytest.raises(NotFoundError, match="cannot be read"):
        schema.describe(path, limits=Limits())


def test_a_file_that_vanishes_before_it_is_opened_is_one_error(tmp_path):
    with pytest.raises(NotFoundError, match="vanished while it was being read"):
        asking.ask("describe", tmp_path / "gone.h5")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    path = save(tmp_path / "a.h5")
    features = hdf5.read_checkpoint(path).split("train").features
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FormatError, match="changed while it was being read"):
        features.load()


# --- attributes and objects -----------------------------------------------------------------------


def test_attributes_of_one_element_of_none_and_of_a_wrong_type(tmp_path):
    def change(file):
        file.attrs["epoch"] = np.array([4])
        file.attrs["seed"] = h5py.Empty("i8")
        file.attrs["loss"] = 3

    path = edited(tmp_path / "a.h5", change)
    with pytest.raises(FormatError, match="'loss' must be text, got int64 '3'"):
        hdf5.read_checkpoint(path)
    path = edited(path, lambda file: (change(file), file.attrs.__setitem__("loss", "ce")))
    metadata = hdf5.read_checkpoint(path).metadata
    assert (metadata.epoch, metadata.seed, metadata.loss) == (4, None, "ce")


def test_a_format_version_that_is_not_there_is_told(tmp_path):
    path = edited(tmp_path / "a.h5", lambda file: file.attrs.__delitem__("format_version"))
    with pytest.raises(FormatError, match="'format_version' must be an integer, got nothing"):
        hdf5.read_checkpoint(path)


def test_a_group_without_labels_is_no_split(tmp_path):
    path = edited(tmp_path / "a.h5", lambda file: file.update({"ood/features": np.ones((3, 8))}))
    assert list(hdf5.read_checkpoint(path).splits) == ["train", "test"]


def test_a_data_set_cut_into_too_many_chunks_is_refused(tmp_path):
    def change(file):
        del file["train/features"]
        file.create_dataset("train/features", data=np.ones((20, 8)), chunks=(1, 1))

    path = edited(tmp_path / "a.h5", change)
    found = schema.describe(str(path), limits=Limits())[0]
    assert dict(found["splits"])["train"]["features"]["chunk_rows"] == 1
    with pytest.raises(FormatError, match=r"is cut into 160 chunks; .*NCCLI_MAX_CHUNKS allows"):
        schema.describe(str(path), limits=Limits(chunks=100))


def test_a_link_of_an_unknown_kind_and_a_type_that_numpy_lacks_are_named(tmp_path):
    assert objects.not_followed(None, b"x", 77) == {
        "note": "never followed: a link of an unknown kind"
    }
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.TypeID.copy(h5py.h5t.UNIX_D32LE)
        h5py.h5d.create(file.id, b"when", kind, h5py.h5s.create_simple((2,)))
        file["point"] = np.dtype("f4")
    assert {item.path: item.dtype for item in contents(path).items} == {
        "/when": "time",
        "/point": "float32",
    }

    class Odd:
        def get_class(self):
            return h5py.h5t.FLOAT

        @property
        def dtype(self):
            raise TypeError("no NumPy equivalent")

    assert objects._type(Odd()) == "a type that numpy does not know"


def test_a_group_that_cannot_be_listed_leaves_its_neighbours(tmp_path, monkeypatch):
    path = edited(tmp_path / "a.h5", lambda file: file.create_group("zzz"))
    links = tree._links

    def damaged(group, room):
        if h5py.h5i.get_name(group) == b"/train":
            raise RuntimeError("wrong object header")
        return links(group, room)

    monkeypatch.setattr(tree, "_links", damaged)
    told, _ = tree.listing(str(path), limits=Limits())
    found = {one["path"]: one["note"] for one in told["found"]}
    assert "cannot be read" in found["/train"]
    assert "/test/features" in found
    monkeypatch.setattr(tree, "_links", lambda *_: (_ for _ in ()).throw(RuntimeError("root")))
    with pytest.raises(FormatError, match=r"cannot read it \(root\)"):
        tree.listing(str(path), limits=Limits())


def test_the_writer_refuses_labels_that_are_no_integers(tmp_path):
    arrays = (np.ones((4, 2)), np.array([0.0, 1.0, 0.0, 1.0]))
    with pytest.raises(ContentError, match="train/labels must hold integers, got float64"):
        hdf5.write_checkpoint(tmp_path / "a.h5", splits={"train": arrays})


# --- files in memory, and publishing --------------------------------------------------------------


def test_the_sparse_file_in_memory_behaves_as_a_file():
    rng = random.Random(0)
    ours, plain = _Memory(), io.BytesIO()
    for _ in range(300):
        place, length = rng.randrange(30_000), rng.randrange(9000)
        for file in (ours, plain):
            file.seek(place)
        if rng.random() < 0.6:
            content = rng.randbytes(length)
            assert ours.write(content) == plain.write(content)
        else:
            one, other = bytearray(length), bytearray(length)
            ours.readinto(one)
            plain.readinto(other)
            assert one == other
    size = plain.seek(0, 2)
    assert ours.seek(0, 2) == ours.size == size
    assert ours.seek(-5, 1) == size - 5 == ours.tell()
    assert ours.truncate() == size - 5
    assert b"".join(content for _, content in ours.pieces([])) == plain.getvalue()[: size - 5]


def test_nothing_is_published_as_an_empty_file(tmp_path):
    publish.publish_bytes(tmp_path / "a", b"")
    assert (tmp_path / "a").read_bytes() == b""


def test_a_system_that_cannot_take_room_in_advance_publishes_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    publish.publish_json(tmp_path / "a", {"x": 1})
    assert json.loads((tmp_path / "a").read_text()) == {"x": 1}


# --- the other process, from inside ---------------------------------------------------------------


def test_it_answers_on_its_pipe_until_nobody_asks(tmp_path, monkeypatch):
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, value: limits.append((kind, value)))
    monkeypatch.setattr("builtins.open", _without_proc)
    path = save(tmp_path / "a.h5")
    their_questions, questions = os.pipe()
    answers, their_answers = os.pipe()
    os.write(questions, json.dumps({"question": "describe", "path": str(path)}).encode() + b"\n")
    os.close(questions)
    serve.main(their_questions, their_answers)
    os.close(their_answers)
    with os.fdopen(answers, "rb") as file:
        (length,) = asking.HEADER.unpack(file.read(asking.HEADER.size))
        assert json.loads(file.read(length))["metadata"]["epoch"] == 1
    assert (resource.RLIMIT_FSIZE, (0, 0)) in limits


def _without_proc(path, *words, **options):
    if path == "/proc/self/statm":
        raise FileNotFoundError(path)
    return io.open(path, *words, **options)  # noqa: UP020 - open itself is patched


def test_it_keeps_a_limit_that_is_lower_than_ours(monkeypatch):
    limits = dict.fromkeys((resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    serve.confine(Limits())
    assert limits[resource.RLIMIT_AS] == (1000, 1000)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (MemoryError(), "of memory to read"),
        (FormatError("odd"), "odd"),
        (KeyError("k"), "KeyError"),
    ],
)
def test_what_goes_wrong_inside_is_an_answer(monkeypatch, error, word):
    def fail(**_):
        raise error

    monkeypatch.setitem(serve.QUESTIONS, "fail", fail)
    told, numbers = serve.answer({"question": "fail", "path": ""}, Limits())
    assert word in told["problem"]
    assert numbers == b""


def test_numbers_go_over_a_pipe_whole(tmp_path):
    def change(file):
        del file["train/features"]
        file.create_dataset("train/features", data=np.arange(160.0).reshape(20, 8), chunks=(5, 8))

    path = edited(tmp_path / "a.h5", change)
    found = hdf5.read_checkpoint(path).split("train").features.load()
    np.testing.assert_array_equal(found, np.arange(160.0).reshape(20, 8))
    reading, writing = os.pipe()

    def write():
        serve._write(writing, memoryview(bytes(10**6)))
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as file:
        assert file.read() == bytes(10**6)
    thread.join()


def test_a_child_that_somebody_else_has_waited_for_is_gone(monkeypatch):
    def gone(*_):
        raise ChildProcessError

    one = child.Child(1, -1, -1)
    monkeypatch.setattr(os, "waitpid", gone)
    assert one.status() == 0
    one.kill()  # of pid 1, were it thought to be alive
    one.close()


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_new_interpreter_is_started_with_our_paths(tmp_path, monkeypatch, debug):
    path = save(tmp_path / "a.h5")
    monkeypatch.setenv("NCCLI_DEBUG", debug)
    monkeypatch.setattr(child, "_may_fork", lambda: False)
    monkeypatch.delattr(child.fcntl, "F_SETPIPE_SZ", raising=False)
    asking.stop()
    assert content(path)[0].epoch == 1
    asking.stop()


def test_a_fork_forgets_the_reader_of_its_parent(monkeypatch):
    ends = os.pipe()
    helper = asking._Helper.__new__(asking._Helper)
    helper._child = child.Child(os.getpid(), *ends)
    monkeypatch.setattr(asking, "_helper", helper)
    monkeypatch.setattr(asking, "_lock", asking._lock)
    asking._forget()
    assert asking._helper is None
    for end in ends:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)
    asking._forget()


def test_a_new_interpreter_keeps_its_pipe_to_itself(tmp_path, monkeypatch):
    """On descriptor 1 anything might print; the pipe is moved away from there."""
    monkeypatch.setattr(serve, "confine", lambda _: None)
    moved = []
    questions = os.open(tmp_path / "none", os.O_RDONLY | os.O_CREAT)
    with monkeypatch.context() as patched:  # pytest moves descriptors too
        patched.setattr(os, "dup", lambda number: moved.append(number) or 77)
        patched.setattr(os, "dup2", lambda *pair: (moved.append(pair), os.close(pair[0])))
        serve.main(questions, 1)
    assert moved[0] == 1
    assert moved[1][1] == 1


def test_all_descriptors_but_the_pipes_are_closed_in_a_fork():
    kept, closed = {4, 9}, set()
    for low, high in child._between(sorted(kept)):
        closed |= set(range(low, min(high, 20)))
    assert closed == set(range(3, 20)) - kept


def test_a_file_that_is_gone_is_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        content(tmp_path / "gone.h5")


def test_a_directory_that_may_not_be_read_takes_files_all_the_same(tmp_path, monkeypatch):
    opened = os.open

    def refused(path, *words, **options):
        if path == tmp_path:
            raise PermissionError(13, "Permission denied")
        return opened(path, *words, **options)

    monkeypatch.setattr(os, "open", refused)
    publish.publish_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_the_end_of_the_program_stops_an_idle_reader_and_kills_a_busy_one(monkeypatch):
    class Busy:
        killed = closed = False

        def kill(self):
            self.killed = True

        def close(self):
            self.closed = True

    busy = Busy()
    monkeypatch.setattr(asking, "_lock", threading.Lock())
    monkeypatch.setattr(asking, "_helper", busy)
    with asking._lock:  # another thread waits for an answer
        asking._leave()
    assert (busy.killed, busy.closed) == (True, False)
    monkeypatch.setattr(asking, "_helper", None)
    with asking._lock:
        asking._leave()
    monkeypatch.setattr(asking, "_helper", busy)
    asking._leave()
    assert busy.closed
    assert asking._helper is None


def test_a_long_wait_is_cut_into_polls(tmp_path, monkeypatch):
    path = save(tmp_path / "a.h5")
    asking.stop()  # the next one takes a while to start
    monkeypatch.setattr(asking, "LONGEST_POLL", 0.0001)
    assert content(path)[0].epoch == 1


def test_an_attribute_of_an_odd_type_is_told(tmp_path):
    def change(file):
        del file.attrs["epoch"]
        kind = h5py.h5t.STD_I32LE.copy()
        kind.set_size(3)
        h5py.h5a.create(file.id, b"epoch", kind, h5py.h5s.create(h5py.h5s.SCALAR))

    path = edited(tmp_path / "a.h5", change)
    with pytest.raises(FormatError, match="'epoch' is of a type that NumPy does not know"):
        hdf5.read_checkpoint(path)


def test_an_attribute_that_cannot_be_read_leaves_the_others(monkeypatch, tmp_path):
    path = str(save(tmp_path / "a.h5"))
    value_of = objects.value_of

    def damaged(attribute):
        if attribute.name == b"epoch":
            raise RuntimeError("bad object header")
        return value_of(attribute)

    monkeypatch.setattr(objects, "value_of", damaged)
    found = dict(tree.listing(path, limits=Limits())[0]["attributes"])
    assert found["epoch"] == "cannot be read"
    assert found["seed"] == "0"


def test_a_current_directory_that_was_deleted_is_no_obstacle(monkeypatch, tmp_path):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(child.Path, "cwd", gone)
    assert child._here() == ""
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert child._here() == str(tmp_path)
