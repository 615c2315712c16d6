"""Damaged files: bytes flipped, cut off, moved. One error a file, and never a wrong number."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from trials import content, save, tries

BATCH = 250


def mutated(content, rng):
    """Damage a file; most of the damage is where the structure is, not among the numbers."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        rng.choice((_flip, _flip, _flip, _set, _word, _word, _splice, _shift, _cut))(damaged, rng)
        if not damaged:
            break
    return bytes(damaged)


def _place(damaged, rng):
    return rng.randrange(min(len(damaged), rng.choice((100, 3000, len(damaged)))))


def _flip(damaged, rng):
    damaged[_place(damaged, rng)] ^= 1 << rng.randrange(8)


def _set(damaged, rng):
    damaged[_place(damaged, rng)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def _word(damaged, rng):
    place = _place(damaged, rng) & ~7
    value = rng.choice(
        (0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(damaged), rng.randrange(5000))
    )
    damaged[place : place + 8] = struct.pack("<Q", value)


def _splice(damaged, rng):
    start, target, length = _place(damaged, rng), _place(damaged, rng), rng.randrange(1, 64)
    damaged[target : target + length] = damaged[start : start + length]


def _shift(damaged, rng):
    place = _place(damaged, rng)
    if rng.random() < 0.5:
        del damaged[place : place + rng.randrange(1, 9)]
    else:
        damaged[place:place] = bytes(rng.randrange(1, 9))


def _cut(damaged, rng):
    if rng.random() < 0.2:
        del damaged[_place(damaged, rng) :]


def by_h5py(path, **options):
    """The same kind of checkpoint as h5py writes it, with structures that ours do without."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w", **options) as file:
        file.attrs.update(format="nccli-checkpoint", format_version=1, class_names=list("abcde"))
        file["classifier/weight"] = rng.normal(size=(5, 8))
        file.create_dataset(
            "train/features", data=rng.normal(size=(40, 8)), chunks=(7, 8), compression="gzip"
        )
        file["train/labels"] = np.arange(40) % 5
    return path


def run(words, folder):
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "nccli", *words, str(folder), "--format", "jsonl"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3, 4), done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()], done, time.monotonic() - begin


@pytest.mark.parametrize("kind", ["ours", "earliest", "latest"])
def test_damaged_files_are_told_apart_and_never_read_wrongly(tmp_path, figure, kind):
    rng = random.Random(kind)
    sound = tmp_path / "sound.h5"
    save(sound) if kind == "ours" else by_h5py(sound, libver=kind)
    original, expected = sound.read_bytes(), content(sound)
    count, refused, slowest = tries(200, 10_000 // 3 + 1), 0, 0.0
    for first in range(0, count, BATCH):
        folder = tmp_path / f"batch-{first}"
        folder.mkdir()
        names = [f"{index:05}.h5" for index in range(first, min(first + BATCH, count))]
        for name in names:
            (folder / name).write_bytes(mutated(original, rng))
        found, done, _ = run(["check", "--verify"], folder)
        assert [one["path"].rsplit("/")[-1] for one in found] == names
        for one in found:
            if one["ok"]:
                assert content(folder / one["path"].rsplit("/")[-1]) == expected
        refused += sum(not one["ok"] for one in found)
        assert len(done.stderr.splitlines()) == sum(not one["ok"] for one in found)
        _, _, seconds = run(["analyze", "--no-cache"], folder)
        slowest = max(slowest, seconds)
    assert refused > 0
    if kind == "ours":
        assert refused < count  # some damage does no harm
    figure(f"mutated files ({kind})", f"{count} files, {refused} refused, 0 silently different, "
           f"slowest {BATCH} files {slowest:.0f} s")  # fmt: skip
