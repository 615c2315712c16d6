"""Checkpoints from your own training loop, whatever it is written in.

with nccli.recorder("runs/mine", loss="label-smoothing", label_smoothing=0.1) as record:
    for epoch in range(1, 201):
        train_one_epoch()
        record(epoch, train=(features, labels), weight=layer.weight, bias=layer.bias)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.checkpoint import Metadata
from nccli.errors import UsageError
from nccli.hdf5 import write_checkpoint
from nccli.hdf5.said import as_written
from nccli.run_lock import sole_writer
from nccli.runs import checkpoint_path, read_run, write_run_file


class Recorder:
    """Writes the checkpoints of one run; called once an epoch that is to be saved."""

    def __init__(self, run: Path, metadata: Metadata) -> None:
        self._run = run
        self._metadata = metadata
        self._last = 0

    def __call__(
        self, epoch: int, *, weight: Any = None, bias: Any = None, **splits: tuple[Any, ...]
    ) -> Path | None:
        """Publish the checkpoint of an epoch; return where, or None where the disk is full.

        splits: train=(features (N, d), labels (N,)) or with logits (N, K) as a third; test, val,
        ... likewise. weight (K, d) and bias (K,) are the classifier's. Arrays may be NumPy's,
        tensors of PyTorch on any device, or anything that NumPy can take.

        A full disk is a warning, and training goes on. Raises ContentError on arrays that do not
        fit together.
        """
        place = checkpoint_path(self._run, epoch)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            write_checkpoint(
                place,
                splits={name: _split(*arrays) for name, arrays in splits.items()},
                weight=None if weight is None else _numbers(weight),
                bias=None if bias is None else _numbers(bias),
                metadata=replace(self._metadata, epoch=epoch, created=created),
            )
            self._last = max(self._last, epoch)
            self.say("running")
        except OSError as error:
            warnings.warn(f"{place} was not saved: {error}", RuntimeWarning, stacklevel=2)
            return None
        return place

    def say(self, status: str, message: str | None = None) -> None:
        """Write run.json. Raises OSError."""
        settings = {name: one for name, one in asdict(self._metadata).items() if one is not None}
        record = {"name": self._run.name, "status": status, "epochs_done": self._last}
        write_run_file(self._run, record | {"message": message, "settings": settings})


@contextmanager
def recorder(
    run: str | Path, *, append: bool = False, metadata: Metadata | None = None, **said: Any
) -> Iterator[Recorder]:
    """Give a Recorder for a run directory, made if absent, that no other process may write to.

    said: fields of Metadata, such as loss, label_smoothing, dataset, architecture, seed,
    weight_decay. append: go on with a run that has checkpoints already.

    At the end the run is marked as finished, or as interrupted or failed with the message.
    Raises UsageError where the run has checkpoints, TrainingError where another process writes it.

    >>> import tempfile, nccli, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features, labels = rng.normal(size=(60, 4)), np.arange(60) % 3
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with nccli.recorder(f"{folder}/run", loss="cross-entropy", seed=0) as record:
    ...         _ = record(1, train=(features, labels), weight=np.eye(3, 4), bias=np.zeros(3))
    ...     nccli.read_run(f"{folder}/run").status
    'finished'
    """
    path = Path(run)
    try:
        described = as_written(replace(metadata or Metadata(), **said))
    except TypeError as error:
        raise UsageError(f"recorder: {error}", remedy="give fields of nccli.Metadata") from None
    with sole_writer(path):
        if read_run(path).checkpoints and not append:
            raise UsageError(
                "this run has checkpoints already",
                source=path,
                remedy="append=True goes on with it",
            )
        record = Recorder(path, described)
        record.say("running")
        try:
            yield record
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            record.say("interrupted" if stopped else "failed", str(error) or type(error).__name__)
            raise
        record.say("finished")


def _split(features: Any, labels: Any, logits: Any = None) -> tuple[NDArray[Any], ...]:
    arrays = (_numbers(features), _numbers(labels))
    return arrays if logits is None else (*arrays, _numbers(logits))


def _numbers(values: Any) -> NDArray[Any]:
    """Return an array; a tensor of PyTorch is known by its methods, so that none is imported."""
    if hasattr(values, "detach"):
        values = values.detach().to("cpu")
        if "bfloat16" in str(values.dtype):  # NumPy has no such type
            values = values.float()
    return np.asarray(values)
