"""Checkpoints that the tests measure: collapsed, ordinary, and broken ones."""

from __future__ import annotations

import json
import logging
import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

import numpy as np
import pytest
from tui_runs import make_pair

from nccli.checkpoint import Checkpoint, Metadata
from nccli.reader import asking, serve
from nccli.reader.limits import Limits

# A suite in the background of a script is told to ignore Ctrl-C, and what it starts would be too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def network(
    seed=0, *, num_classes=5, dim=8, count=90, noise=0.5, bias=True, balanced=True, gain=1.0
):
    """Features, labels, weight and bias of a network that has learned something."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % num_classes if balanced else _imbalanced(rng, num_classes, count)
    centres = rng.normal(size=(num_classes, dim)) * 2 + rng.normal(size=dim)
    features = centres[labels] + noise * rng.normal(size=(count, dim))
    weight = centres - centres.mean(axis=0) + 0.3 * rng.normal(size=(num_classes, dim))
    return features, labels, gain * weight, rng.normal(size=num_classes) * bias


def _imbalanced(rng, num_classes, count):
    weights = 0.5 ** np.arange(num_classes)
    rest = rng.choice(num_classes, size=count - 2 * num_classes, p=weights / weights.sum())
    return np.concatenate([np.repeat(np.arange(num_classes), 2), rest])


def checkpoint(seed=0, *, delta=0.1, test=True, **options) -> Checkpoint:
    """A checkpoint in memory, with a train and a test split drawn around the same centres."""
    features, labels, weight, bias = network(seed, **options)
    half = len(labels) // 3 if test else 0
    splits = {"train": (features[half:], labels[half:])}
    if test:
        splits["test"] = (features[:half], labels[:half])
    metadata = Metadata(
        loss="label-smoothing" if delta else "cross-entropy",
        label_smoothing=delta,
        epoch=3,
        seed=seed,
        weight_decay=5e-3,
    )
    return Checkpoint.from_arrays(splits, weight=weight, bias=bias, metadata=metadata)


def simplex(num_classes=5, dim=7, per_class=6, scale=3.0, seed=0):
    """Exact collapse: features on a simplex ETF, the classifier its dual."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:, :num_classes]
    etf = (np.eye(num_classes) - 1 / num_classes) @ basis.T
    labels = np.repeat(np.arange(num_classes), per_class)
    return scale * etf[labels], labels, 0.5 * etf


@pytest.fixture
def command(run_folder, monkeypatch, capsys):
    """Make a function that runs a command beside the toy runs: (exit code, stdout, stderr)."""
    from nccli.cli.app import run

    monkeypatch.chdir(run_folder)
    monkeypatch.setenv("COLUMNS", "80")

    def made(name):
        def calling(*words):
            code = run([name, *words, "--no-cache"])
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        return calling

    return made


@pytest.fixture
def run_folder(tmp_path):
    """A directory with a CE and an LS run of three epochs each, on disk."""
    return make_runs(tmp_path / "runs")


def make_runs(folder, *, epochs=(1, 10, 100), seeds=(0,), groups=(("ce", 0.0), ("ls0.1", 0.1))):
    """Write small runs whose within-class noise shrinks with the epoch, faster for LS."""
    from nccli import hdf5, runs

    for name, delta in groups:
        for seed in seeds:
            run = folder / f"toy-{name}-s{seed}"
            (run / "checkpoints").mkdir(parents=True)
            record = {"status": "finished", "settings": {"label_smoothing": delta, "seed": seed}}
            runs.write_run_file(run, record)
            for epoch in epochs:
                noise = 2.0 / (epoch ** (0.5 if delta else 0.25))
                features, labels, weight, bias = network(seed, noise=noise, count=120)
                hdf5.write_checkpoint(
                    runs.checkpoint_path(run, epoch),
                    splits={
                        "train": (features[:80].astype(np.float32), labels[:80]),
                        "test": (features[80:].astype(np.float32), labels[80:]),
                    },
                    weight=weight.astype(np.float32),
                    bias=bias.astype(np.float32),
                    metadata=Metadata(
                        loss="label-smoothing" if delta else "cross-entropy",
                        label_smoothing=delta,
                        epoch=epoch,
                        seed=seed,
                        weight_decay=5e-3,
                        dataset="toy",
                        architecture="linear",
                    ),
                )
    return folder


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A run of each loss for the terminal UI; nobody writes into it."""
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def seeds(tmp_path_factory):
    """Three seeds of each loss for the terminal UI; nobody writes into it."""
    return make_pair(tmp_path_factory.mktemp("seeds"), seeds=(0, 1, 2))


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """Two worker processes of Dask on this machine."""
    distributed = pytest.importorskip("distributed")
    import dask

    # a worker that was killed comes back on a busy machine, too: Dask gives it 15 s, then none
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    with (
        patient,
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as running,
    ):
        yield running


# --- what the other process does, done in this one, where coverage counts it (`make coverage`) ---


class _Inline:
    def answer(self, asked, into):
        told, numbers = serve.answer(json.loads(json.dumps(asked)), Limits.of_environment())
        told = json.loads(json.dumps(told))
        if "error" in told:
            raise asking._error(told)
        if into is not None:
            into[:] = memoryview(numbers)
        return told


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    """NCCLI_INLINE=1: files are opened in this process."""
    if os.environ.get("NCCLI_INLINE") == "1":
        monkeypatch.setattr(asking, "_running", _Inline)


# --- the figures of a full run of tests/trust (`make torture`), as a table at its end ---

FIGURES = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture
def figure(request):
    """Note a figure: figure(what, found)."""
    noted = request.config.stash.setdefault(FIGURES, [])
    return lambda what, found: noted.append((what, found))


def pytest_terminal_summary(terminalreporter, config):
    if os.environ.get("NCCLI_TORTURE") == "1":
        terminalreporter.section("figures")
        for what, found in config.stash.get(FIGURES, []):
            terminalreporter.write_line(f"{what:44}  {found}")
