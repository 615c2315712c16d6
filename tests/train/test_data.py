"""Data sets: tiny files in the true formats, through the same code that reads the real ones."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from nccli.errors import FormatError, NotFoundError, UsageError
from train.catalogue import DATA_SETS
from train.data import load_data, loading, prepare, vision
from train.data.images import Images, Part
from train.data.prepare import prepared
from train.data.shapes import load_shapes
from train.feed import Feed, cut, random_cuts
from train.loop import Classification
from train.parallel import run_all
from train.place import Place
from train.presets import make_settings
from train.streamed import random_box

EACH = 3  # images of a class in a part


def write(path, content):
    """Write a file; return its MD5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def pictures(count, channels, side, seed=0):
    shape = (count, channels, side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels_of(name):
    return np.tile(np.arange(DATA_SETS[name].num_classes), EACH)


def make_cifar(root, monkeypatch, name):
    """A CIFAR of a few images: batches as Python 2 pickled them, and their MD5s."""
    kind, key = (
        (datasets.CIFAR10, "labels") if name == "cifar10" else (datasets.CIFAR100, "fine_labels")
    )
    labels, images = labels_of(name), pictures(len(labels_of(name)), 3, 32)
    folder = root / kind.base_folder
    listed = {}
    for part, files in (("train_list", kind.train_list), ("test_list", kind.test_list)):
        shares = np.array_split(np.arange(len(labels)), len(files))
        listed[part] = [
            [
                file,
                write(
                    folder / file,
                    pickle.dumps(
                        {"data": images[rows].reshape(len(rows), -1), key: labels[rows].tolist()},
                        protocol=2,
                    ),
                ),
            ]
            for (file, _), rows in zip(files, shares, strict=True)
        ]
        monkeypatch.setattr(kind, part, listed[part])
    names = [f"class {number}" for number in range(DATA_SETS[name].num_classes)]
    meta = dict(kind.meta)
    meta["md5"] = write(folder / meta["filename"], pickle.dumps({meta["key"]: names}, protocol=2))
    monkeypatch.setattr(kind, "meta", meta)
    return images, labels


def make_stl10(root, monkeypatch, name):
    """STL-10: columns before rows, labels from 1, and no unlabelled images."""
    labels, images = labels_of(name), pictures(len(labels_of(name)), 3, 96)
    folder = root / "stl10_binary"
    for part, attribute in (("train", "train_list"), ("test", "test_list")):
        content = {
            f"{part}_X.bin": images.transpose(0, 1, 3, 2).tobytes(),
            f"{part}_y.bin": (labels + 1).astype(np.uint8).tobytes(),
        }
        listed = [[file, write(folder / file, data)] for file, data in content.items()]
        monkeypatch.setattr(vision.LabelledSTL10, attribute, listed)
    (folder / "class_names.txt").write_text("\n".join(f"class {k}" for k in range(10)))
    return images, labels


def make_mnist(root, monkeypatch, name):  # noqa: ARG001
    """MNIST's idx files."""
    labels, images = labels_of(name), pictures(len(labels_of(name)), 1, 28)
    folder = root / ("MNIST" if name == "mnist" else "FashionMNIST") / "raw"
    for part in ("train", "t10k"):
        head = np.array([0x803, len(labels), 28, 28], ">i4").tobytes()
        write(folder / f"{part}-images-idx3-ubyte", head + images.tobytes())
        head = np.array([0x801, len(labels)], ">i4").tobytes()
        write(folder / f"{part}-labels-idx1-ubyte", head + labels.astype(np.uint8).tobytes())
    return images, labels


def make_svhn(root, monkeypatch, name):
    """SVHN's MATLAB files, where a zero is class 10."""
    labels, images = labels_of(name), pictures(len(labels_of(name)), 3, 32)
    split = dict(datasets.SVHN.split_list)
    for part in ("train", "test"):
        url, file, _ = split[part]
        content = {
            "X": images.transpose(2, 3, 1, 0),
            "y": np.where(labels == 0, 10, labels)[:, None],
        }
        root.mkdir(parents=True, exist_ok=True)
        savemat(root / file, content)
        split[part] = [url, file, hashlib.md5((root / file).read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", split)
    return images, labels


MAKERS = {
    "cifar10": make_cifar,
    "cifar100": make_cifar,
    "stl10": make_stl10,
    "mnist": make_mnist,
    "fashion-mnist": make_mnist,
    "svhn": make_svhn,
}


def settings_of(name, **changes):
    return make_settings(data=name, **{"batch_size": 4, "epochs": 1} | changes)


@pytest.mark.parametrize("name", MAKERS)
def test_files_in_the_true_format_give_their_pixels_and_labels(name, tmp_path, monkeypatch):
    images, labels = MAKERS[name](tmp_path, monkeypatch, name)
    found = load_data(settings_of(name), root=tmp_path)
    assert found.num_classes == DATA_SETS[name].num_classes == len(found.class_names)
    assert found.shape == images.shape[1:] == (DATA_SETS[name].channels, *images.shape[2:])
    for part in found.parts.values():
        assert np.array_equal(part.images, images)
        assert np.array_equal(part.labels, labels)


@pytest.mark.parametrize("name", MAKERS)
def test_a_missing_file_is_named_and_so_is_where_it_belongs(name, tmp_path, monkeypatch):
    MAKERS[name](tmp_path, monkeypatch, name)
    file, _ = vision.expected_files(name)[-1]
    (tmp_path / file).unlink()
    with pytest.raises(NotFoundError, match=f"1 of the .* files of {name} are not here: {file}"):
        load_data(settings_of(name), root=tmp_path)
    with pytest.raises(NotFoundError, match="--download fetches"):
        load_data(settings_of(name), root=tmp_path / "nowhere")


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_file_is_told_and_never_unpickled(name, tmp_path, monkeypatch):
    MAKERS[name](tmp_path, monkeypatch, name)
    file, md5 = vision.expected_files(name)[0]
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    words = "is damaged" if md5 else f"cannot be read as {name}"
    with pytest.raises(FormatError, match=words):
        load_data(settings_of(name), root=tmp_path)


def test_before_runs_start_missing_files_are_told_once_and_fetched_once(tmp_path, monkeypatch):
    runs = [settings_of("mnist", seed=seed) for seed in range(3)]
    place = Place(data_root=tmp_path)
    with pytest.raises(NotFoundError, match="4 of the 4 files of mnist are not here"):
        prepared(runs, place)
    assert prepared([*runs, settings_of("digits")], place) == place  # those of digits can go on
    fetched = []
    monkeypatch.setattr(prepare, "load_data", lambda *_, **options: fetched.append(options))
    assert prepared(runs, Place(data_root=tmp_path, download=True)) == place
    assert fetched == [{"root": tmp_path, "download": True}]
    with pytest.raises(NotFoundError, match="folders of classes"):
        prepared([settings_of("image-folder")], place)


# --- folders ------------------------------------------------------------------------------------


def make_folders(root, *, classes=("bee", "cat", "owl"), side=64, test="val"):
    """train/CLASS/*.png and val/CLASS/*.png; returns the pictures of each part by class."""
    found = {}
    for seed, part in enumerate(("train", test)):
        images = pictures(EACH * len(classes), 3, side, seed)
        for at, image in enumerate(images):
            path = root / part / classes[at // EACH] / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(path)
        found[part] = images
    return found


def test_image_folders_are_read_class_by_class(tmp_path):
    images = make_folders(tmp_path, side=224)
    found = load_data(settings_of("image-folder"), root=tmp_path)
    assert found.class_names == ("bee", "cat", "owl")
    assert found.num_classes == 3
    assert np.array_equal(found.parts["train"].images, images["train"])
    assert np.array_equal(found.parts["test"].images, images["val"])
    assert np.array_equal(found.parts["train"].labels, np.repeat(np.arange(3), EACH))


def test_images_of_other_sizes_are_scaled_and_cut_to_the_middle_square(tmp_path):
    make_folders(tmp_path)
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 255  # the middle square is white
    Image.fromarray(wide).save(tmp_path / "train" / "bee" / "0.png")
    found = load_data(settings_of("image-folder"), root=tmp_path)
    assert found.parts["train"].images.shape[1:] == (3, 224, 224)
    assert found.parts["train"].images[0, :, :, 8:-8].min() > 250


def test_tiny_imagenets_list_of_test_images_is_followed(tmp_path, monkeypatch):
    monkeypatch.setitem(DATA_SETS, "tiny-imagenet", DATA_SETS["image-folder"])
    images = make_folders(tmp_path, side=224)
    folder = tmp_path / "val"
    (folder / "images").mkdir()
    lines = []
    for path in sorted(folder.glob("*/*.png"), reverse=True):
        shutil.move(path, folder / "images" / path.name)
        lines.append(f"{path.name}\t{path.parent.name}\t0\t0\t62\t62")
    (folder / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    test = load_data(settings_of("tiny-imagenet"), root=tmp_path).parts["test"]
    order = [int(line.partition(".")[0]) for line in lines]
    assert np.array_equal(test.images, images["val"][order])
    assert np.array_equal(test.labels, np.array(order) // EACH)


def test_folders_that_are_no_data_set_are_refused_with_what_is_missing(tmp_path):
    settings = settings_of("image-folder")
    with pytest.raises(NotFoundError, match="0 folders of classes here, of at least 2"):
        load_data(settings, root=tmp_path)
    make_folders(tmp_path)
    (tmp_path / "val" / "cat").rename(tmp_path / "val" / "dog")
    with pytest.raises(FormatError, match="3 classes where train has 3: 'cat' is in one"):
        load_data(settings, root=tmp_path)
    (tmp_path / "val" / "dog").rename(tmp_path / "val" / "cat")
    (tmp_path / "train" / "owl" / "7.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    with pytest.raises(FormatError, match=r"owl/7.png: cannot be decoded as an image"):
        load_data(settings, root=tmp_path)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(NotFoundError, match="no folder with test images; make one of: val"):
        load_data(settings, root=tmp_path)
    with pytest.raises(UsageError, match="image-folder cannot be fetched"):
        load_data(settings, root=tmp_path, download=True)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    make_folders(tmp_path)
    with pytest.raises(UsageError, match="batch size is 10, and there are 9 training images"):
        load_data(settings_of("image-folder", batch_size=10), root=tmp_path)


# --- folders too large for memory ---------------------------------------------------------------


def streamed(tmp_path, monkeypatch, **changes):
    """A trainer on folders in memory, and one that decodes them as it goes."""
    monkeypatch.setitem(DATA_SETS, "image-folder", replace(DATA_SETS["image-folder"], side=16))
    settings = settings_of("image-folder", model="resnet", width=8, **changes)
    found = []
    for limit in (loading.STREAM_BYTES, 0):
        monkeypatch.setattr(loading, "STREAM_BYTES", limit)
        data = load_data(settings, root=tmp_path)
        assert bool(data.files) == (limit == 0)
        found.append(Classification(settings, data=data))
    return found


def test_images_that_are_streamed_train_to_the_same_bits(tmp_path, monkeypatch):
    make_folders(tmp_path)
    kept, read = streamed(tmp_path, monkeypatch, batch_size=2)
    for epoch in (1, 2):
        assert kept.run_epoch(epoch) == read.run_epoch(epoch)
    one, other = kept.capture().splits, read.capture().splits
    for part in ("train", "test"):
        for ours, theirs in zip(one[part], other[part], strict=True):
            assert np.array_equal(ours, theirs)
    assert kept.sizes() == read.sizes()


def test_an_epoch_that_was_broken_off_does_not_reach_into_the_next(tmp_path, monkeypatch):
    make_folders(tmp_path)
    kept, read = streamed(tmp_path, monkeypatch, batch_size=2)
    plan = read.feed.plan(1, slice(None))
    read.feed.batch(plan.rows[0], None)
    assert kept.run_epoch(2) == read.run_epoch(2)


def test_a_damaged_image_ends_a_streamed_run_with_its_name(tmp_path, monkeypatch):
    make_folders(tmp_path)
    _, read = streamed(tmp_path, monkeypatch, batch_size=9)
    (tmp_path / "train" / "owl" / "7.png").write_bytes(b"not any more")
    with pytest.raises(FormatError, match=r"owl/7.png: cannot be decoded"):
        read.run_epoch(1)


def test_random_parts_lie_inside_and_vary_and_depend_on_seed_epoch_and_image(tmp_path, monkeypatch):
    make_folders(tmp_path, side=40)
    _, read = streamed(tmp_path, monkeypatch, batch_size=4, augment="flip-crop")

    def seen(epoch):
        plan = read.feed.plan(epoch, slice(None))
        return [read.feed.batch(rows, None)[0] for rows in plan.rows]

    first, again, other = seen(1), seen(1), seen(2)
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(60, 40, rng) for _ in range(2000)])
    left, top, right, bottom = boxes.T
    assert left.min() >= 0
    assert top.min() >= 0
    assert (right.max(), bottom.max()) == (60, 40)
    area = (right - left) * (bottom - top) / 2400
    shape = (right - left) / (bottom - top)
    assert 0.07 < area.min() < 0.1 < 0.85 < area.max()  # 4/3 of a side of 40 is 0.89 of it
    assert 0.7 < shape.min() < 0.8 < 1.25 < shape.max() < 1.4


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_shapes_have_cifars_form_and_balanced_classes(num_classes):
    found = load_shapes(num_classes=num_classes, train_count=400, test_count=200)
    for name, count in (("train", 400), ("test", 200)):
        part = found.parts[name]
        assert part.images.shape == (count, 3, 32, 32)
        assert part.images.dtype == np.uint8
        sizes = np.bincount(part.labels, minlength=num_classes)
        assert sizes.max() - sizes.min() <= 1
        assert 60 < part.images.mean() < 195
        assert part.images.std() > 40


def test_shapes_are_the_same_every_time_and_more_begin_with_fewer():
    few, more = (
        load_shapes(num_classes=10, train_count=count, test_count=20).parts for count in (30, 700)
    )
    assert np.array_equal(few["train"].images, more["train"].images[:30])
    assert np.array_equal(few["test"].images, more["test"].images)
    assert not np.array_equal(few["train"].images[:20], few["test"].images)


def test_each_shape_is_another_picture():
    images = load_shapes(num_classes=10, train_count=1200, test_count=20).parts["train"].images
    assert len({image.tobytes() for image in images}) == 1200


# --- fewer of them, standardised, cut -----------------------------------------------------------


def test_fewer_training_images_are_the_first_of_each_class(tmp_path, monkeypatch):
    images, labels = make_mnist(tmp_path, monkeypatch, "mnist")
    part = load_data(settings_of("mnist", train_count=20), root=tmp_path).parts["train"]
    assert np.array_equal(part.labels, labels[:20])
    assert np.array_equal(part.images, images[:20])


def test_pixels_are_standardised_as_the_data_set_says():
    images = pictures(6, 3, 8)
    data = Images(
        parts={"train": Part(images=images, labels=np.arange(6))},
        num_classes=6,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
    )
    feed = Feed(data, settings_of("cifar10", batch_size=2), "cpu")
    expected = (images / 255 - np.reshape(data.mean, (3, 1, 1))) / np.reshape(data.std, (3, 1, 1))
    rows = torch.tensor([4, 1])
    batch, labels = feed.batch(rows, None)
    np.testing.assert_allclose(batch.numpy(), expected[[4, 1]], rtol=1e-5, atol=1e-5)
    assert labels.tolist() == [4, 1]


def test_a_cut_moves_over_black_and_mirrors():
    images = torch.from_numpy(pictures(5, 3, 8))
    cuts = torch.tensor([[4, 4, 0], [0, 4, 0], [4, 7, 0], [4, 4, 1], [6, 1, 1]])
    found = cut(images, cuts)
    assert torch.equal(found[0], images[0])
    assert torch.equal(found[1, :, 4:], images[1, :, :-4])
    assert not found[1, :, :4].any()
    assert torch.equal(found[2, :, :, :-3], images[2, :, :, 3:])
    assert torch.equal(found[3], images[3].flip(2))
    padded = torch.nn.functional.pad(images[4], (4, 4, 4, 4))
    assert torch.equal(found[4], padded[:, 6:14, 1:9].flip(2))


def test_cuts_are_drawn_evenly_and_from_seed_and_epoch_alone():
    cuts = random_cuts(9_000, seed=1, epoch=2)
    assert torch.equal(cuts, random_cuts(9_000, seed=1, epoch=2))
    assert not torch.equal(cuts, random_cuts(9_000, seed=1, epoch=3))
    for column in (0, 1):
        assert torch.bincount(cuts[:, column]).tolist() == pytest.approx([1000] * 9, rel=0.12)
    assert cuts[:, 2].float().mean() == pytest.approx(0.5, abs=0.02)


# --- one folder taken for another ---------------------------------------------------------------


@pytest.fixture
def folder_run(tmp_path, monkeypatch):
    """Train on an image folder: a function of the folder and of options."""
    monkeypatch.setitem(DATA_SETS, "image-folder", replace(DATA_SETS["image-folder"], side=16))
    settings = settings_of(
        "image-folder", model="mlp", width=16, depth=1, epochs=2, save_epochs=(2,), batch_size=4
    )

    def run(root, **options):
        options = {"resume": True, "place": Place(device="cpu", data_root=root)} | options
        (outcome,) = run_all([settings], tmp_path / "runs", **options)
        return outcome

    return run


def test_a_run_is_not_continued_with_the_images_of_another_folder(tmp_path, folder_run):
    make_folders(tmp_path / "one", side=16)
    make_folders(tmp_path / "other", side=24)  # of the same names, of other sizes
    folder_run(tmp_path / "one")
    (run,) = (tmp_path / "runs").iterdir()
    again = folder_run(tmp_path / "other")
    assert again.ending == "skipped"
    assert f"with the images of {tmp_path / 'one'}" in again.message
    assert folder_run(tmp_path / "one").message == "finished already"
    next(run.glob("checkpoints/*.h5")).unlink()  # now there is something to do
    with pytest.raises(UsageError, match=r"cannot resume with other images.* holds others"):
        folder_run(tmp_path / "other")
    shutil.move(tmp_path / "one", tmp_path / "moved")
    assert folder_run(tmp_path / "moved").ending == "finished"
