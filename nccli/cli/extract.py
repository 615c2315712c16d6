"""`nccli extract`."""

from __future__ import annotations

from pathlib import Path

import typer

from nccli.cli import console
from nccli.cli.import_ import metadata_of, place_of
from nccli.cli.train import require_torch
from nccli.errors import DONE, UsageError


def extract(
    data: str = typer.Argument(help="A folder with train/CLASS/*.jpg and val/..., or cifar10, ..."),
    model: str = typer.Option(..., help="torchvision:NAME, timm:NAME or module:function."),
    out: Path = typer.Option(
        ..., "--out", "-o", help="The checkpoint, FILE.h5; or a run directory, with --epoch."
    ),
    weights: Path | None = typer.Option(
        None, help="A state dict: .safetensors, or .pt that holds tensors only."
    ),
    splits: str = typer.Option("train,test", help="train, test or both by a comma."),
    layer: str | None = typer.Option(
        None, help="The linear layer whose input is taken; default: the last one."
    ),
    data_root: Path = typer.Option(Path("data"), help="Where named data sets lie."),
    size: int = typer.Option(224, min=1, help="Pixels of the middle square of folders' images."),
    resize: int = typer.Option(256, min=1, help="To which their shorter side is scaled before."),
    mean: str | None = typer.Option(None, help="Of each channel: 0.485,0.456,0.406."),
    std: str | None = typer.Option(None, help="Of each channel: 0.229,0.224,0.225."),
    batch: int = typer.Option(256, min=1, help="Images at a time."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, cuda:1."),
    dtype: str = typer.Option("float32", help="Of saved features: float32 or float16."),
    loss: str | None = typer.Option(None, help="ce, ls, or any name."),
    smoothing: float | None = typer.Option(None, help="Label smoothing delta of the training."),
    epoch: int | None = typer.Option(None, min=0, help="Epoch of the weights."),
    seed: int | None = typer.Option(None, help="Seed of the run."),
    weight_decay: float | None = typer.Option(None, help="lambda_W of the training."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the checkpoint."),
) -> None:
    """Run a saved network over images and keep its features, logits and last layer.

    The network is run in eval mode, in float32; features are taken at the input of its last linear
    layer and go to the disk as they come. Weights are loaded as tensors only: no file runs code.

    \b
    Examples:
      nccli extract imagenet/ --model torchvision:resnet50 --weights r50.safetensors -o r50.h5
      nccli extract cifar10 --model timm:resnet18 --weights ls.pt --loss ls --smoothing 0.1 -o a.h5
      nccli extract digits --model mymodels:make_network --weights net.pt -o runs/mine --epoch 90
    """
    require_torch()
    from nccli.validate import validate
    from train.extract import Request
    from train.extract import extract as run
    from train.extract.sources import Pixels

    place = place_of(out, epoch, overwrite=overwrite)
    if dtype not in ("float32", "float16"):
        raise UsageError(f"unknown dtype '{dtype}'", remedy="float32 or float16")
    request = Request(
        model=model,
        data=data,
        weights=weights,
        splits=tuple(dict.fromkeys(word for word in splits.split(",") if word)),
        root=data_root,
        layer=layer,
        pixels=Pixels(resize=resize, size=size, mean=_channels(mean), std=_channels(std)),
        batch=batch,
        device=_device(device),
        dtype=dtype,
        metadata=metadata_of(loss, smoothing, epoch, seed, weight_decay, None, None, None),
    )
    if not request.splits:
        raise UsageError("no split", remedy="--splits train,test")
    if weights is None and model.startswith(("torchvision:", "timm:")):
        console.say("nccli: no --weights: these are features of random weights")
    with console.images_watched() as done:
        run(request, place, done=done)
    finding = validate(place)
    for note in finding.notes:
        console.say(f"nccli: {place}: {note}")
    held = ", ".join(finding.splits)
    console.say(f"nccli: wrote {place}: K {finding.num_classes}, d {finding.dim}, {held}")
    print(place)
    raise typer.Exit(DONE)


def _channels(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"a number for each channel, got '{text}'", remedy="0.5,0.5,0.5") from None


def _device(word: str) -> str:
    import torch

    if word == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=word)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {word} is not there ({reason})", remedy="cpu") from None
    return word
