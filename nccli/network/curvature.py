"""Curvature of a whole network: top eigenpairs, trace, density, and the last layer's part of it.

B eigenpairs, M parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
import torch

from nccli.errors import UsageError
from nccli.logits import Floats
from nccli.network.block import DENSE, Block, Kind
from nccli.network.density import density
from nccli.network.eigenvalues import Pairs, largest
from nccli.network.network import Network, prepare
from nccli.network.problem import Problem
from nccli.network.report import NetworkEigenvalue, NetworkReport
from nccli.network.trace import trace

PROBES = 4  # of our own choice, as for the last layer
STEPS = 30
DOUBTFUL = 1e-5  # mean 1 - p below which float32 shows: 0.3 to 3 % wrong at 1e-6, half at 3e-12
CLUSTER = 1e-2  # relative distance at which single eigenvectors mean little
KINDS = get_args(Kind)


def analyze(
    problem: Problem,
    *,
    curvature: str = "ggn",
    top: int = 1,
    probes: int = PROBES,
    steps: int = STEPS,
    seed: int = 0,
    double: bool = False,
    dense_up_to: int = DENSE,
    name: str | None = None,
    watch: Callable[[int], None] = lambda _: None,
) -> NetworkReport:
    """Return the curvature of the mean loss in all parameters that have a gradient.

    The GGN is the sum over the samples of J^T (Hessian of the loss in the outputs) J / N, the
    Hessian has the second derivatives of the outputs besides (Schraudolph 2002). Products come
    from curvlinops, which weighs batches by their samples; whether the Hessian's are symmetric
    is tried first, as torch gets some layers wrong.

    dense_up_to: parameters up to which the matrix is formed and nothing is estimated. watch: is
    told how many products have been done. Raises UsageError on another curvature, InputError (and
    its kinds) where the problem cannot be used.
    """
    if curvature not in KINDS:
        raise UsageError(
            f"unknown curvature '{curvature}'", remedy=f"try one of: {', '.join(KINDS)}"
        )
    network = prepare(problem, double=double)
    kind: Kind = "ggn" if curvature == "ggn" else "hessian"
    whole = Block(network, network.parameters, kind, dense_up_to=dense_up_to, watch=watch)
    last = Block(network, network.last_parameters, kind, dense_up_to=dense_up_to, watch=watch)
    streams = [np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(6)]
    if kind == "hessian":
        whole.check_symmetric(streams[5])
    pairs = largest(whole, wanted=top + 1, rng=streams[0])  # one more tells a cluster
    last_pairs = largest(last, wanted=1, rng=streams[1])
    total = trace(whole, pairs, probes=probes, rng=streams[2])
    last_total = trace(last, last_pairs, probes=probes, rng=streams[3])
    spread = density(whole, probes=probes, steps=steps, rng=streams[4])
    shares_B = last_layer_shares(network, pairs)
    lambda_max, lambda_max_error = _first(pairs)
    lambda_max_last, lambda_max_last_error = _first(last_pairs)
    converged = pairs.converged and last_pairs.converged
    return NetworkReport(
        network=name,
        curvature=kind,
        dtype=str(network.dtype).removeprefix("torch."),
        n=network.survey.n,
        num_parameters=whole.size,
        last_layer=network.last_layer,
        num_last_layer=last.size,
        loss=network.survey.loss,
        mean_doubt=network.survey.mean_doubt,
        lambda_max=lambda_max,
        lambda_max_error=lambda_max_error,
        lambda_max_last_layer=lambda_max_last,
        lambda_max_last_layer_error=lambda_max_last_error,
        trace=total.value,
        trace_error=total.error,
        trace_last_layer=last_total.value,
        trace_last_layer_error=last_total.error,
        lambda_min=spread.smallest,
        last_layer_share_top=_top_share(pairs.values_B[:top], shares_B[:top]),
        last_layer_lambda_share=_ratio(lambda_max_last, lambda_max),
        last_layer_trace_share=_ratio(last_total.value, total.value),
        near_zero_share=spread.near_zero.value,
        near_zero_share_error=spread.near_zero.error,
        resolution=spread.resolution,
        probes=probes,
        steps=steps,
        seed=seed,
        products=whole.products + last.products,
        status="converged" if converged else "not converged",
        spectrum=_spectrum(pairs, shares_B, top),
        density=spread.bins,
        notes=(*network.notes, *_notes(network, pairs, top, converged=converged)),
    )


def last_layer_shares(network: Network, pairs: Pairs) -> Floats:
    """Of each eigenvector's square, the share on the last layer's parameters, in [0, 1]."""
    in_last_M = np.concatenate([np.full(size, last) for size, last in network.in_last_layer])
    squares_BM = np.square(pairs.vectors_BM)
    return np.asarray(squares_BM[:, in_last_M].sum(axis=1) / squares_BM.sum(axis=1))


def _first(pairs: Pairs) -> tuple[float | None, float | None]:
    if not len(pairs.values_B):
        return None, None
    return float(pairs.values_B[0]), float(pairs.residuals_B[0])


def _top_share(values_B: Floats, shares_B: Floats) -> float | None:
    total = float(values_B.sum())
    return float(values_B @ shares_B) / total if total > 0 else None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole is not None and whole > 0 else None


def _spectrum(pairs: Pairs, shares_B: Floats, top: int) -> tuple[NetworkEigenvalue, ...]:
    rows = zip(pairs.values_B[:top], pairs.residuals_B[:top], shares_B[:top], strict=True)
    return tuple(
        NetworkEigenvalue(
            value=float(value),
            low=float(value - residual),
            high=float(value + residual),
            last_layer_share=float(share) if value else None,
        )
        for value, residual, share in rows
    )


def _notes(network: Network, pairs: Pairs, top: int, *, converged: bool) -> Iterator[str]:
    doubt = network.survey.mean_doubt
    if doubt is None:
        yield "mean 1 - p is undefined: the loss is no CrossEntropyLoss over classes"
    if network.dtype is torch.float32 and doubt is not None and doubt < DOUBTFUL:
        yield (
            f"the network is confident (mean 1 - p {doubt:.1e}): float32 curvature is wrong there, "
            "by more than the intervals say; --double is right"
        )
    if not converged:
        yield "not converged: the intervals tell how far each eigenvalue is known"
    if not pairs.values_B.any():
        yield "no curvature is left: the softmax is saturated, or nothing moves the loss"
    elif len(pairs.values_B) > top:
        here, after = pairs.values_B[top - 1], pairs.values_B[top]
        if here - after <= CLUSTER * abs(here):
            yield (
                f"eigenvalues {top} and {top + 1} agree within 1 %: the share of the top curvature "
                "in the last layer depends on where it is cut: take another --top"
            )
