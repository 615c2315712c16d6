"""How fast training is, as a table: `python tests/benchmarks/train/run.py`.

Ratios are taken side by side, contenders in turn within one process; the best of several rounds
counts. On a CPU: the laptop's digits against a bare loop over the same tensors, and the plain
PyTorch loop with a DataLoader. On a GPU (`--device cuda`): ResNet-18 and ResNet-50 on data of
CIFAR-10's size, with and without a CUDA graph and torch.compile, one run and several side by side,
captures, and the plain loop.
"""

from __future__ import annotations

import argparse
import gc
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from train.data import Images, Part
from train.feed import shuffled
from train.loop import Classification
from train.networks import make_network
from train.presets import make_settings

ROUNDS = 5


def best(contenders: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of each contender, the best of some rounds taken in turn."""
    found = dict.fromkeys(contenders, float("inf"))
    for run in contenders.values():
        run()  # warm
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            found[name] = min(found[name], time.perf_counter() - started)
    return found


def row(name: str, value: str, note: str = "") -> None:
    """Print one line of the table."""
    print(f"| {name:<52} | {value:>14} | {note}")


# --- the laptop ---------------------------------------------------------------------------------


def bare_epoch(trainer: Classification) -> Callable[[], object]:
    """A loop as short as PyTorch lets one write it, over the same tensors and network."""
    settings = trainer.settings
    network = make_network(settings, shape=(1, 8, 8), num_classes=10).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3, fused=True
    )
    images, labels = trainer.feed.parts["train"]

    def epoch() -> None:
        for rows in shuffled(len(labels), seed=0, epoch=1).split(settings.batch_size):
            loss = torch.nn.functional.cross_entropy(network(images[rows]), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


def plain_epoch(trainer: Classification, workers: int = 0) -> Callable[[], object]:
    """The usual loop: a DataLoader, float32, .item() every step."""
    settings = trainer.settings
    images, labels = trainer.feed.parts["train"]
    device = images.device
    standardised = torch.cat(
        [trainer.feed.standardised(block) for block in images.split(1024)]
    ).cpu()
    data = TensorDataset(standardised, labels.cpu())
    loader = DataLoader(
        data, batch_size=settings.batch_size, shuffle=True, drop_last=True, num_workers=workers
    )
    classes = trainer.network.classifier.out_features
    network = make_network(settings, shape=tuple(images.shape[1:]), num_classes=classes)
    network.to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)

    def epoch() -> float:
        total = 0.0
        for x, y in loader:
            loss = torch.nn.functional.cross_entropy(network(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return epoch


def laptop() -> None:
    """The digits on one thread."""
    torch.set_num_threads(1)
    trainer = Classification(make_settings(data="digits"))
    found = best(
        {
            "ours": lambda: trainer.run_epoch(1),
            "bare": bare_epoch(trainer),
            "plain": plain_epoch(trainer),
        },
        rounds=25,
    )
    row("digits MLP, an epoch of 1,000", f"{1000 * found['ours']:.1f} ms")
    row(
        "  against a bare loop over the same tensors",
        f"{found['ours'] / found['bare']:.2f}x",
        "<= 1.2x",
    )
    row(
        "  the plain loop with a DataLoader takes", f"{found['plain'] / found['ours']:.1f}x as long"
    )
    capture = best({"capture": trainer.capture}, rounds=9)["capture"]
    row("  a capture of 1,797 images", f"{1000 * capture:.1f} ms")


# --- a GPU --------------------------------------------------------------------------------------


def random_images(count: int) -> Images:
    """Data of CIFAR-10's form."""
    rng = np.random.default_rng(0)
    parts = {
        name: Part(
            images=rng.integers(0, 256, (number, 3, 32, 32), dtype=np.uint8),
            labels=rng.integers(0, 10, number),
        )
        for name, number in (("train", count), ("test", count // 5))
    }
    return Images(parts=parts, num_classes=10, mean=(0.5,) * 3, std=(0.25,) * 3)


def finished(run: Callable[[], object]) -> Callable[[], object]:
    """Run, and wait for the device."""

    def waited() -> None:
        run()
        torch.cuda.synchronize()

    return waited


def side_by_side(trainers: list[Classification]) -> Callable[[], object]:
    """An epoch of each, in threads with a stream each, as `nccli train --per-gpu` has them."""
    streams = [torch.cuda.Stream() for _ in trainers]

    def epoch(trainer: Classification, stream: torch.cuda.Stream) -> None:
        with torch.cuda.stream(stream):
            trainer.run_epoch(1)

    def epochs() -> None:
        with ThreadPoolExecutor(len(trainers)) as threads:
            list(threads.map(epoch, trainers, streams))

    return epochs


def gpu(count: int, models: list[str], together: list[int]) -> None:
    """Images a second of the paper's networks, of so many runs side by side."""
    data = random_images(count)
    for model in models:
        settings = make_settings(data="cifar10", model=model, epochs=1, precision="bfloat16")

        def trainers(number: int = 1, /, **ways: bool) -> list[Classification]:
            return [
                Classification(settings, device="cuda", data=data, **ways)  # noqa: B023
                for _ in range(number)
            ]

        found = {"eager": rate(trainers())}
        for number in together:
            runs = "one CUDA graph" if number == 1 else f"{number} runs side by side"
            found[runs] = rate(trainers(number, graphs=True))
            found[f"{runs}, compiled"] = rate(trainers(number, graphs=True, compiled=True))
        for name, images in found.items():
            row(f"{model}, batch 128, {name}", f"{images:,.0f} images/s")
        for dtype in ("float16", "float32"):
            (one,) = trainers()
            one.settings = replace(settings, dtype=dtype)
            seconds = best({"": finished(one.capture)}, rounds=2)[""]
            row(f"{model}: a capture of {count * 6 // 5:,} images as {dtype}", f"{seconds:.2f} s")
        if model == models[0]:
            seconds = best({"": finished(plain_epoch(trainers()[0], workers=8))}, rounds=1)[""]
            ratio = max(found[name] for name in found if "side" not in name) * seconds / count
            row(f"{model}: the plain loop, float32", f"{count / seconds:,.0f} images/s")
            row(f"{model}: it takes, against the best single run", f"{ratio:.1f}x as long", ">= 8x")


def rate(trainers: list[Classification]) -> float:
    """Images a second of some runs side by side, together."""
    gc.collect()  # those measured before are cycles, and keep their part of the GPU
    seconds = best({"": finished(side_by_side(trainers))}, rounds=2)[""]
    return sum(trainer.feed.counts["train"] for trainer in trainers) / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--count", type=int, default=50_000, help="images on a GPU")
    parser.add_argument("--models", default="resnet18,resnet50", help="on a GPU")
    parser.add_argument("--together", default="1,2,3,4", help="runs side by side on a GPU")
    asked = parser.parse_args()
    name = torch.cuda.get_device_name() if asked.device == "cuda" else platform.machine()
    print(f"torch {torch.__version__} on {name}, {time.strftime('%Y-%m-%d')}\n")
    if asked.device == "cpu":
        laptop()
    else:
        gpu(asked.count, asked.models.split(","), [int(one) for one in asked.together.split(",")])


if __name__ == "__main__":
    main()
