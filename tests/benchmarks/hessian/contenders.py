"""Who takes part: nccli and the peers that are installed; by name, for a fresh process."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import contenders_nccli
from tasks import BATCH, CURVLINOPS, LARGE, LARGE_BATCH, NCCLI, PYHESSIAN, Question

Run = Callable[[Path], list[float]]
MODULES = {PYHESSIAN: "peer_pyhessian", CURVLINOPS: "peer_curvlinops"}
NEEDS = {
    PYHESSIAN: ("torch", "pip install 'nccli[train]' -c constraints.txt"),
    CURVLINOPS: (
        "curvlinops",
        "pip install 'curvlinops-for-pytorch>=3.0.1,<4' -c constraints.txt",
    ),
}
PROBES = 4  # of nccli's density, side by side; its default


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One row of a table: reads the file and returns its numbers."""

    name: str
    run: Run
    parts: int = 1  # one run does the work of so many


def absent() -> dict[str, str]:
    """The peers that cannot take part, and the remedy."""
    return {
        name: remedy
        for name, (module, remedy) in NEEDS.items()
        if importlib.util.find_spec(module) is None
    }


def names() -> list[str]:
    """All rows of a table, in their order."""
    missing = absent()
    peers = [name for name in MODULES if name not in missing]
    return [NCCLI, *(name + size for name in peers for size in ("", LARGE))]


def contender(name: str, question: Question) -> Contender:
    """Return a contender for a question; what it needs is imported now, outside the clock."""
    return _nccli(question) if name == NCCLI else _peer(name, question)


def _nccli(question: Question) -> Contender:
    if question.quantity == "trace":
        return Contender(name=NCCLI, run=contenders_nccli.trace)
    if question.quantity == "eigenvalues":
        return Contender(
            name=NCCLI, run=partial(contenders_nccli.eigenvalues, count=question.count)
        )
    run = partial(contenders_nccli.density, probes=PROBES, steps=question.count)
    return Contender(name=NCCLI, run=run, parts=PROBES)


def _peer(name: str, question: Question) -> Contender:
    # curvlinops' own dependencies still call it; nothing a reader of the tables can mend
    warnings.filterwarnings("ignore", message=".torch.jit", category=FutureWarning)
    module = importlib.import_module(MODULES[name.removesuffix(LARGE)])
    batch = LARGE_BATCH if name.endswith(LARGE) else BATCH
    if question.quantity == "trace":
        return Contender(name=name, run=partial(module.trace, batch=batch))
    if question.quantity == "eigenvalues":
        run = partial(module.eigenvalues, count=question.count, batch=batch)
        return Contender(name=name, run=run)
    return Contender(name=name, run=partial(module.density, steps=question.count, batch=batch))
