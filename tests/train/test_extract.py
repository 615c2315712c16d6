"""`nccli extract`: the features are those of a forward pass by hand; files run nothing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn
from torchvision import models
from typer.testing import CliRunner

from nccli import hdf5, validate
from nccli.cli.app import app
from nccli.errors import FormatError, InputError, NccliError, UsageError
from nccli.last_layer import last_linear
from train.data.loading import load_data
from train.extract import Request, extract
from train.extract.models import load_state
from train.extract.sources import IMAGENET_MEAN, IMAGENET_STD, Pixels
from train.presets import make_settings


class Digits(nn.Module):
    """A network of somebody's own, with a layer before the last and dropout between."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Dropout(0.5))
        self.out = nn.Linear(20, 10)

    def forward(self, images):
        return {"logits": self.out(self.body(images))}


def digits():
    torch.manual_seed(0)
    return Digits()


class Scaled(nn.Module):
    """No linear layer's output is the network's."""

    def __init__(self):
        super().__init__()
        self.inner = digits()

    def forward(self, images):
        return 3 * self.inner(images)["logits"]


class Tokens(nn.Module):
    """The last layer sees every position."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 10)

    def forward(self, images):
        return self.out(images[:, 0]).mean(dim=1)


def numbers(path):
    described = hdf5.describe(path)
    return {name: one.rows(0, one.shape[0]) for name, one in described.arrays().items()}


def call(*words):
    found = CliRunner().invoke(app, ["extract", *map(str, words)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Image folders of two classes, of several sizes and modes."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for part, count in (("train", 5), ("val", 3)):
        for name in ("ant", "bee"):
            place = root / part / name
            place.mkdir(parents=True)
            for index in range(count):
                high, wide = rng.integers(40, 90, 2)
                pixels = rng.integers(0, 255, (high, wide, 3), np.uint8)
                image = Image.fromarray(pixels)
                (image.convert("L") if index == 1 else image).save(place / f"{index}.png")
    return root


@pytest.mark.parametrize(("dtype", "coarse"), [("float32", False), ("float16", True)])
def test_a_gpu_convolves_as_exactly_as_the_features_are_saved(tmp_path, monkeypatch, dtype, coarse):
    seen, forward = set(), Digits.forward

    def watched(self, images):
        if len(images) > 2:  # no trial of the shape
            seen.add(torch.backends.cudnn.allow_tf32)
        return forward(self, images)

    monkeypatch.setattr(Digits, "forward", watched)
    before = torch.backends.cudnn.allow_tf32
    request = Request(model=f"{__name__}:digits", data="digits", dtype=dtype)
    extract(request, tmp_path / "a.h5")
    assert seen == {coarse}
    assert torch.backends.cudnn.allow_tf32 is before


def test_features_of_the_digits_are_those_of_a_pass_by_hand(tmp_path):
    model = digits().eval()
    with torch.no_grad():
        for one in model.parameters():
            one.mul_(1.5)  # not those that digits() makes
    torch.save({"epoch": 3, "model_state_dict": {f"module.{name}": one for name, one in
               model.state_dict().items()}}, tmp_path / "w.pt")  # fmt: skip
    done = call("digits", "--model", f"{__name__}:digits", "--weights", tmp_path / "w.pt", "--out",
                tmp_path / "run", "--epoch", "90", "--loss", "ls", "--smoothing", "0.1",
                "--batch", "77")  # fmt: skip
    place = tmp_path / "run" / "checkpoints" / "epoch-00090.h5"
    assert done.stdout == f"{place}\n"
    found, data = numbers(place), load_data(make_settings(data="digits"))
    for split, part in data.parts.items():
        images = torch.from_numpy(np.ascontiguousarray(part.images))
        if images.dtype == torch.uint8:
            mean, std = torch.tensor(data.mean), torch.tensor(data.std)
            images = (images / 255 - mean[:, None, None]) / std[:, None, None]
        with torch.no_grad():
            features = model.body(images.float())
            logits = model.out(features)
        np.testing.assert_allclose(found[f"{split}/features"], features, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[f"{split}/logits"], logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found[f"{split}/labels"], part.labels)
    np.testing.assert_array_equal(found["classifier/weight"], model.out.weight.detach())
    finding = validate.validate(place, verify=True, strict=True)
    assert finding.ok, finding.problem
    said = hdf5.read_checkpoint(place).metadata
    assert (said.epoch, said.loss, said.dataset) == (90, "label-smoothing", "digits")
    assert not [path for path in place.parent.iterdir() if path != place]


@pytest.mark.parametrize("spec", ["torchvision:resnet18", "timm:resnet18"])
def test_image_folders_through_named_architectures(tmp_path, folder, spec):
    import timm

    make = {"torchvision": models.get_model, "timm": timm.create_model}[spec.split(":")[0]]
    torch.manual_seed(1)
    model = make("resnet18", num_classes=2).eval()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "w.safetensors")
    call(folder, "--model", spec, "--weights", tmp_path / "w.safetensors", "--size", "32",
         "--resize", "40", "--splits", "test", "--out", tmp_path / "a.h5")  # fmt: skip
    files = sorted((folder / "val").glob("*/*.png"))
    images = []
    for file in files:
        image = Image.open(file).convert("RGB")
        scale = 40 / min(image.size)
        wide, high = (max(40, round(length * scale)) for length in image.size)
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
        left, top = (wide - 40) // 2 + 4, (high - 40) // 2 + 4
        images.append(np.asarray(image.crop((left, top, left + 32, top + 32))))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        logits = model((pixels - mean) / std)
    found = numbers(tmp_path / "a.h5")
    np.testing.assert_allclose(found["test/logits"], logits, rtol=1e-4, atol=1e-4)
    assert found["test/features"].shape == (6, 512)
    np.testing.assert_array_equal(found["test/labels"], [0, 0, 0, 1, 1, 1])
    assert hdf5.read_checkpoint(tmp_path / "a.h5").metadata.class_names == ("ant", "bee")
    assert validate.validate(tmp_path / "a.h5", verify=True, strict=True).ok


def test_a_transformer_and_half_precision(tmp_path, folder):
    call(folder, "--model", "torchvision:vit_b_16", "--out", tmp_path / "a.h5", "--dtype",
         "float16", "--splits", "train", "--batch", "4")  # fmt: skip
    found = numbers(tmp_path / "a.h5")
    assert found["train/features"].shape == (10, 768)
    assert found["train/features"].dtype == np.float16
    assert found["classifier/weight"].dtype == found["classifier/bias"].dtype == np.float32
    assert validate.validate(tmp_path / "a.h5").notes == ()


def test_the_layer_can_be_named_and_is_looked_for_otherwise():
    model, images = digits().eval(), torch.randn(3, 1, 8, 8)
    assert last_linear(model, lambda: model(images)) is model.out
    assert last_linear(model, lambda: model(images), name="body.1") is model.body[1]
    with pytest.raises(UsageError, match=r"no linear layer is called 'fc'; it has: out, body\.1"):
        last_linear(model, lambda: model(images), name="fc")
    scaled, flat = Scaled().eval(), nn.Flatten()
    with pytest.raises(UsageError, match="gives the network's output as it is; --layer NAME"):
        last_linear(scaled, lambda: scaled(images))
    with pytest.raises(UsageError, match="it has no linear layer"):
        last_linear(flat, lambda: flat(images))


def own(name, **changes):
    return Request(model=f"{__name__}:{name}", data="digits", **changes)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (own("Tokens", layer="out"), r"the layer sees \(8, 8\) of a sample, not d = 8"),
        (own("nothing"), "has no attribute 'nothing'"),
        (own("IMAGENET_MEAN"), "cannot be made|not callable"),
        (own("weights"), "gave dict, not a torch.nn.Module"),
        (own("digits", layer="out", splits=("val",)), "unknown split 'val'; train, test"),
        (Request(model="resnet18", data="digits"), "must be torchvision:NAME, timm:NAME"),
        (Request(model="torchvision:resnet", data="digits"), "torchvision:resnet cannot be made"),
        (Request(model="torchvision:resnet18", data="digits"), "cannot take images of 1 x 8 x 8"),
        (Request(model="nowhere:net", data="digits"), "No module named 'nowhere'"),
        (Request(model=f"{__name__}:digits", data="no/such"), "neither a folder nor a data set"),
        (Request(model=f"{__name__}:digits", data="digits", pixels=Pixels(size=9, resize=8)),
         "--size 9 is above --resize 8"),
    ],
)  # fmt: skip
def test_what_cannot_be_extracted_is_told(tmp_path, request_, message):
    with pytest.raises(NccliError, match=message):
        extract(request_, tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


class Evil:
    def __reduce__(self):
        return (open, ("/tmp/never-written", "w"))


def weights(**changes):
    state = digits().state_dict() | changes
    return {name: one for name, one in state.items() if one is not None}


WRONG = {
    "an object": (lambda path: torch.save({"model": Evil()}, path), "holds more than tensors"),
    "a network": (lambda path: torch.save(digits(), path), "holds more than tensors"),
    "a bare pickle": (lambda path: path.write_bytes(pickle.dumps(Evil())), "holds more|cannot be"),
    "noise": (lambda path: path.write_bytes(b"\x00" * 99), "holds more|cannot be read as PyTorch"),
    "no weights": (lambda path: torch.save({"epoch": 3}, path), "holds no state dict"),
    "another shape": (lambda path: torch.save(weights(**{"out.weight": torch.ones(9, 20)}), path),
                      "of another network"),
    "one missing": (lambda path: torch.save(weights(**{"out.bias": None}), path), "lacks out.bias"),
    "one more": (lambda path: torch.save(weights(extra=torch.ones(2, 2)), path), "has extra"),
    "nothing": (lambda _: None, "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_weights_that_cannot_be_used_are_one_line_and_run_nothing(tmp_path, name):
    make, message = WRONG[name]
    path = tmp_path / "w.pt"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        extract(own("digits", weights=path), tmp_path / "a.h5")
    assert str(caught.value).startswith(str(path))
    assert not (tmp_path / "a.h5").exists()


def test_state_dicts_are_found_in_what_people_save(tmp_path):
    expected = weights()
    for wrapped in (
        expected,
        {"state_dict": {f"model.{name}": one for name, one in expected.items()}},
        {"model": {f"_orig_mod.{name}": one for name, one in expected.items()}, "epoch": 1},
    ):
        torch.save(wrapped, tmp_path / "w.pt")
        found = load_state(tmp_path / "w.pt")
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    half = {name: one.to(torch.bfloat16) for name, one in expected.items()}
    safetensors.torch.save_file(half, tmp_path / "w.safetensors")
    found = load_state(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], half[name].float()) for name in half)


def test_features_that_overflow_are_told(tmp_path):
    torch.save(weights(**{"body.1.weight": torch.full((20, 64), 1e6)}), tmp_path / "w.pt")
    with pytest.raises(InputError, match="features overflow float16; --dtype float32"):
        extract(own("digits", weights=tmp_path / "w.pt", dtype="float16"), tmp_path / "a.h5")
    torch.save(weights(**{"out.bias": torch.full((10,), torch.nan)}), tmp_path / "n.pt")
    with pytest.raises(InputError, match="holds NaN"):
        extract(own("digits", weights=tmp_path / "n.pt"), tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dtype", "int8"], "unknown dtype 'int8'"),
        (["--splits", ","], "no split"),
        (["--mean", "a"], "a number for each channel, got 'a'"),
        (["--device", "cuda:99"], "--device cuda:99 is not there"),
    ],
)
def test_a_wrong_command_line_is_told(tmp_path, words, message):
    with pytest.raises(UsageError, match=message):
        call("digits", "--model", f"{__name__}:digits", "--out", tmp_path / "a.h5", *words)


def test_a_damaged_image_names_its_file(tmp_path, folder):
    import shutil

    shutil.copytree(folder, tmp_path / "in")
    (tmp_path / "in" / "train" / "bee" / "2.png").write_bytes(b"no image")
    request = Request(model="torchvision:resnet18", data=str(tmp_path / "in"))
    with pytest.raises(FormatError, match=r"bee/2\.png: cannot be decoded as an image"):
        extract(request, tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
