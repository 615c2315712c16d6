"""The last-layer Hessian at real features and weights, beside its value at the collapsed optimum.

N samples, K classes, D features. With p_i = softmax(W h_i + b), A_i = diag(p_i) - p_i p_i^T:

    W block   (1/N) sum_i A_i (x) h_i h_i^T              Kd x Kd, never formed
    H block   block diagonal, block i = (1/N) W^T A_i W
    joint     both and the cross terms, (Kd + Nd) square, never formed

All values are of the data term alone unless their name says regularised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nccli.checkpoint import Checkpoint
from nccli.collapse.spans import nobody
from nccli.errors import ContentError
from nccli.hessian.dense import dense_block
from nccli.hessian.density import PROBES, STEPS, Density, exact_density, weight_density
from nccli.hessian.direct import joint_density, largest_direct, size_of
from nccli.hessian.feature_block import (
    DECADES,
    PER_DECADE,
    FeatureBlock,
    feature_block,
)
from nccli.hessian.hierarchy import hierarchy as split_hierarchy
from nccli.hessian.joint import largest_joint
from nccli.hessian.layer import LastLayer, Survey, open_layer, survey
from nccli.hessian.means import on_the_means
from nccli.hessian.smallest import extremes
from nccli.hessian.theory import Penalties, check_penalties, find_penalties, theory_beside
from nccli.hessian.weight_block import MAX_PASSES, Solved, largest
from nccli.hessian_report import Certified, ClassKappa, DensityBin, HessianReport
from nccli.logits import Floats

EXACT_SIZE = 8_000  # K d up to which --exact forms the W block: two minutes of one core
EXACT_WORK = 5e12  # multiplications of forming it: some minutes of one core
PAIR_WORK = 10**4  # what a row and a pair of classes cost beside them
TOP_BYTES = 256 * 2**20  # of the vectors that --top asks for; our own limit
NO_PENALTIES = Penalties(weight=0.0, features=0.0, source=None)
FAINT = 1e-20  # mean 1 - p below which single precision has no range left


def analyze(
    checkpoint: Checkpoint,
    *,
    split: str = "train",
    path: str | None = None,
    lambda_w: float | None = None,
    lambda_h: float | None = None,
    with_bias: bool = False,
    top: int = 1,
    spectra: Sequence[str] = ("w", "h", "joint"),
    density: Sequence[str] = (),
    probes: int = PROBES,
    steps: int = STEPS,
    seed: int = 0,
    smallest: bool = False,
    hierarchy: bool = False,
    exact: bool = False,
    max_passes: int = MAX_PASSES,
    threads: int | None = None,
    watch: Callable[[int], None] = nobody,
) -> HessianReport:
    """Return the measured last-layer curvature of one split, and the closed form beside it.

    with_bias: the bias is a variable of the W block. top: how many of its largest eigenvalues,
    and of the other blocks' where `spectra` names them.
    density: of which of "w", "h" and "joint"; by stochastic Lanczos quadrature with so many probes
    and steps, exact for "h", and for "w" with `exact`. smallest: the W block's smallest eigenvalue
    on (1-perp) x R^d.
    hierarchy: Papyan's split of its trace. exact: all eigenvalues from the dense matrix.
    threads: how many cores, None for all; no digit depends on it. watch: told of rows as they
    are run through, in however many passes it takes.

    Raises ContentError where the file has no classifier or is too large for `exact`, UsageError
    on a negative penalty.

    >>> import nccli
    >>> run = nccli.sample_data_path("runs") / "digits-mlp-ls0.05-s0"
    >>> checkpoint = nccli.read_checkpoint(run / "checkpoints" / "epoch-00200.h5")
    >>> report = nccli.hessian.analyze(checkpoint)
    >>> f"class means {report.kappa_means_w:.1f}, with ridge {report.kappa_regularised_w:.1f}"
    'class means 10.7, with ridge 50.3'
    """
    check_penalties(lambda_w, lambda_h)
    layer = open_layer(checkpoint, split, with_bias=with_bias, threads=threads, watch=watch)
    _check_exact(layer, exact)
    _check_top(layer, top)
    layer, known = survey(layer)
    if not np.isfinite(known.trace_w * known.trace_w + known.squares * known.squares):
        raise ContentError(
            "has features or weights too large to square", remedy="scale the features down"
        )
    if known.doubt < FAINT and layer.dtype != np.float64:
        layer, known = survey(layer.precise)
    notes: list[str] = []
    penalties = find_penalties(checkpoint, layer, known, lambda_w, lambda_h, notes)
    found = _Measuring(checkpoint, split, layer, known, penalties, notes, max_passes)
    values = found.weight_block(top, exact=exact)
    values |= found.feature_block(top if "h" in spectra else 1, density="h" in density)
    values |= found.joint(top if "joint" in spectra else 1)
    values |= found.on_the_means()
    if smallest:
        values |= found.smallest()
    if hierarchy:
        values |= found.hierarchy()
    if "w" in density:
        values |= found.weight_density(probes, steps, seed)
    if "joint" in density:
        values |= found.joint_density(probes, steps, seed)
    meta = checkpoint.metadata
    return HessianReport(
        path=path,
        split=split,
        epoch=meta.epoch,
        loss_name=meta.loss,
        label_smoothing=meta.label_smoothing,
        seed=meta.seed,
        n=layer.count,
        num_classes=checkpoint.num_classes,
        dim=checkpoint.dim,
        bias_included=with_bias,
        lambda_w=penalties.weight,
        lambda_h=penalties.features,
        lambda_h_source=penalties.source,
        mean_doubt=known.doubt,
        trace_w=known.trace_w,
        trace_h=known.trace_h,
        trace_joint=known.trace_w + known.trace_h,
        null_modes_w=layer.width,
        **values,
        **theory_beside(checkpoint, layer, known, penalties, notes),
        status="not converged" if found.open else "converged",
        notes=tuple(notes),
    )


def _check_top(layer: LastLayer, top: int) -> None:
    nbytes = 8 * min(top, layer.num_classes * layer.width) * layer.num_classes * layer.width
    if nbytes > TOP_BYTES:
        raise ContentError(
            f"would need {nbytes / 2**20:,.0f} MiB for each of several sets of --top {top} vectors",
            remedy="give a smaller --top",
        )


def _check_exact(layer: LastLayer, exact: bool) -> None:
    size = layer.num_classes * layer.width
    work = layer.count * layer.num_classes**2 * (layer.width**2 + PAIR_WORK)
    if exact and size <= EXACT_SIZE and work > EXACT_WORK:
        raise ContentError(
            f"is too large for --exact: {work:.0e} multiplications, the limit is {EXACT_WORK:.0e}",
            remedy="leave --exact out: --top and --density need no matrix",
        )
    if exact and size > EXACT_SIZE:
        raise ContentError(
            f"has K d = {size:,} variables, and --exact forms matrices up to {EXACT_SIZE:,}",
            remedy="leave --exact out: --top and --density need no matrix",
        )


_PERHAPS_LARGER = (
    "its interval holds an eigenvalue, and a larger one may be there; kappa_regularised_w is left "
    "out; give more --max-passes"
)


class _Measuring:
    """The measurements of one layer; what did not converge is in `open`, and in the notes."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        split: str,
        layer: LastLayer,
        known: Survey,
        penalties: Penalties,
        notes: list[str],
        max_passes: int,
    ) -> None:
        self._checkpoint, self._split, self._layer, self._known = checkpoint, split, layer, known
        self._penalties, self._notes, self._max_passes = penalties, notes, max_passes
        self._top: Solved | None = None
        self._spectrum: Floats | None = None  # of the W block, where all of it is known
        self._bound_h = known.largest_trace_h / layer.count
        self.open: list[str] = []

    def _told(
        self, name: str, converged: bool, *, why: str = "it is known within its interval only"
    ) -> None:
        if not converged:
            self.open.append(name)
            self._notes.append(f"{name} did not converge: {why}")

    def weight_block(self, top: int, *, exact: bool) -> dict[str, Any]:
        """The largest eigenvalues of the W block, and the condition number with the ridge."""
        if exact:
            values: Floats = np.linalg.eigvalsh(dense_block(self._layer)).astype(np.float64)[::-1]
            errors = np.full(len(values), len(values) * np.finfo(np.float64).eps * values[0])
            shown = len(values)
            self._spectrum = values
            self._top = largest(self._layer, top, known=self._known, max_passes=self._max_passes)
        else:
            self._top = largest(self._layer, top, known=self._known, max_passes=self._max_passes)
            values, errors, shown = self._top.values, self._top.errors, top
        self._told("lambda_max_w", exact or self._top.converged, why=_PERHAPS_LARGER)
        peak = float(values[0])
        kappa = None  # an eigenvalue is known, not that it is the largest
        if not self.open:
            kappa = _regularised(peak, 0.0, self._penalties.weight)
        return {
            "lambda_max_w": peak,
            "lambda_max_w_error": float(errors[0]),
            "kappa_regularised_w": kappa,
            "rate_regularised_w": _rate(kappa),
            "spectrum_w": _certified(values, errors) if exact or shown > 1 else (),
        }

    def feature_block(self, top: int, *, density: bool) -> dict[str, Any]:
        """What the H block, a small block for each sample, says: extremes and distribution."""
        found = feature_block(self._layer, top)
        count = self._layer.count
        peaks_B, bounds_B = found.peaks_B / count, found.bounds_B / count
        self._bound_h = float(bounds_B[0])
        if len(found.rows) < count:
            self._notes.append(
                f"kappa_h_* are over a seeded sample of {len(found.rows):,} of {count:,} samples: "
                "K is large"
            )
        full_rank = self._checkpoint.dim <= self._checkpoint.num_classes - 1
        smallest = 0.0
        if full_rank and len(found.rows) == count:
            smallest = float(found.smallest_M.min()) / count
        peak = float(peaks_B[0])
        known = not full_rank or len(found.rows) == count
        if not known and self._penalties.features:
            self._notes.append(
                "kappa_regularised_h is left out: not all samples were solved, and the smallest "
                "eigenvalue is not known"
            )
        values: dict[str, Any] = {
            "lambda_max_h": peak,
            "lambda_max_h_error": self._bound_h - peak,
            "kappa_regularised_h": (
                _regularised(peak, smallest, self._penalties.features) if known else None
            ),
            "spectrum_h": _between(peaks_B, bounds_B, found.rank) if top > 1 else (),
            **self._distribution(found),
        }
        self._told("lambda_max_h", self._bound_h <= peak * 1.001)
        if density:
            values["density_h"] = _feature_density(found, count)
        return values

    def _distribution(self, found: FeatureBlock) -> dict[str, Any]:
        if found.rank < found.directions:
            self._notes.append(
                f"kappa_h_* are undefined: the centred weight has rank {found.rank}, not K - 1"
            )
            return {}
        ratios_M = found.ratios_M
        median, tail = _quantiles(ratios_M)
        if tail is None:
            self._notes.append(
                "kappa_h_p90 (and perhaps kappa_h_median) is infinite: some probabilities underflow"
            )
        labels_M = self._layer.labels_N[found.rows]
        classes = []
        for label in np.unique(labels_M):
            own = ratios_M[labels_M == label]
            middle, high = _quantiles(own)
            classes.append(ClassKappa(label=int(label), n=len(own), median=middle, p90=high))
        return {"kappa_h_median": median, "kappa_h_p90": tail, "kappa_h_classes": tuple(classes)}

    def joint(self, top: int) -> dict[str, Any]:
        """The largest eigenvalues of the joint Hessian, without and with the penalties."""
        delta = self._checkpoint.metadata.label_smoothing
        if delta is None:
            self._notes.append(
                "label_smoothing is not recorded: lambda_max_joint is that of delta 0"
            )
        plain = self._joint("joint", top, delta or 0.0)
        values: dict[str, Any] = {}
        if plain is not None:
            values["lambda_max_joint"] = float(plain.values[0])
            values["lambda_max_joint_error"] = float(plain.errors[0])
            values["spectrum_joint"] = _certified(plain.values, plain.errors) if top > 1 else ()
        if plain is not None and self._penalties.weight and self._penalties.features:
            ridged = self._joint(
                "joint_regularised", top, delta or 0.0, penalties=self._penalties, guess=plain
            )
            if ridged is not None:
                values["lambda_max_joint_regularised"] = float(ridged.values[0])
                values["spectrum_joint_regularised"] = (
                    _certified(ridged.values, ridged.errors) if top > 1 else ()
                )
        return values

    def _joint(
        self,
        name: str,
        top: int,
        delta: float,
        *,
        penalties: Penalties = NO_PENALTIES,
        guess: Solved | None = None,
    ) -> Solved | None:
        assert self._top is not None
        options: dict[str, Any] = {
            "label_smoothing": delta, "wanted": top,
            "penalty_w": penalties.weight, "penalty_h": penalties.features,
        }  # fmt: skip
        found = largest_joint(self._layer, self._top, bound_h=self._bound_h, guess=guess, **options)
        reached = 0 if found is None else len(found.values)
        if reached < min(top, size_of(self._layer)):
            found = largest_direct(self._layer, **options) or found
        if found is None:
            self._notes.append(
                f"lambda_max_{name} is left out: the H block is not small beside the W block, and "
                f"{size_of(self._layer):,} variables are too many to keep"
            )
            return None
        if len(found.values) < min(top, size_of(self._layer)):
            self._notes.append(
                f"spectrum_{name} ends at rank {len(found.values)}: the later eigenvalues are not "
                f"large beside the H block, or need too much memory; {size_of(self._layer):,} "
                "variables are too many to keep"
            )
        self._told(f"lambda_max_{name}", found.converged)
        return found

    def on_the_means(self) -> dict[str, Any]:
        """Condition of the W block on the span of the centred class means."""
        found = on_the_means(self._checkpoint, self._split, self._layer, self._notes)
        self._told(
            "kappa_means_w", found.converged, why="it is not known to one part in a thousand"
        )
        return {
            "kappa_means_w": found.kappa,
            "kappa_means_w_error": found.kappa_error,
            "rate_means_w": _rate(found.kappa),
            "nc1": found.nc1,
        }

    def smallest(self) -> dict[str, Any]:
        """The smallest eigenvalue of the W block where the softmax is not flat."""
        found = extremes(self._layer)
        self._told("lambda_min_w", found.converged)
        value = max(found.smallest, 0.0)
        return {
            "lambda_min_w": value,
            "lambda_min_w_error": float(found.smallest_error),
            "kappa_regularised_perp_w": _regularised(found.largest, value, self._penalties.weight),
        }

    def hierarchy(self) -> dict[str, Any]:
        """Papyan's split of the trace of the W block."""
        found = split_hierarchy(self._layer)
        return {
            "trace_w_class": found.between_classes,
            "trace_w_cross_class": found.cross_class,
            "trace_w_within": found.within,
            "trace_w_own": found.own,
        }

    def weight_density(self, probes: int, steps: int, seed: int) -> dict[str, Any]:
        """Spectral density of the W block; exact where all of its eigenvalues are known."""
        if self._spectrum is None:
            found = weight_density(self._layer, probes=probes, steps=steps, seed=seed)
        else:
            rounding = len(self._spectrum) * np.finfo(np.float64).eps * self._spectrum[0]
            found = exact_density(self._spectrum, rounding=float(rounding))
        return {"density_w": _bins(found)}

    def joint_density(self, probes: int, steps: int, seed: int) -> dict[str, Any]:
        """Spectral density of the joint Hessian, where it fits into memory."""
        found = joint_density(
            self._layer,
            label_smoothing=self._checkpoint.metadata.label_smoothing or 0.0,
            probes=probes,
            steps=steps,
            seed=seed,
        )
        if found is None:
            self._notes.append(
                f"density_joint is left out: {size_of(self._layer):,} variables are too many"
            )
        return {"density_joint": () if found is None else _bins(found)}


def _regularised(largest: float, smallest: float, penalty: float | None) -> float | None:
    return (largest + penalty) / (smallest + penalty) if penalty else None


def _rate(kappa: float | None) -> float | None:
    return None if kappa is None else 1.0 - 1.0 / kappa


def _certified(values: Floats, errors: Floats) -> tuple[Certified, ...]:
    return tuple(
        Certified(value=float(value), low=float(value - error), high=float(value + error))
        for value, error in zip(values, errors, strict=True)
    )


def _between(lows: Floats, highs: Floats, rank: int) -> tuple[Certified, ...]:
    """Eigenvalues of small dense blocks, right to rounding, or bounded from above only."""
    rounding = 4 * max(1, rank) * np.finfo(np.float64).eps * lows[0]
    return tuple(
        Certified(value=float(low), low=float(low - rounding), high=float(high + rounding))
        for low, high in zip(lows, highs, strict=True)
    )


def _quantiles(ratios: Floats) -> tuple[float | None, float | None]:
    # method="lower" returns a sample's own value: interpolating towards inf would give NaN
    found = np.quantile(ratios, [0.5, 0.9], method="lower")
    median, tail = (float(value) if np.isfinite(value) else None for value in found)
    return median, tail


def _bins(found: Density) -> tuple[DensityBin, ...]:
    bins = [
        DensityBin(
            low=float(10.0**low), high=float(10.0**high), share=float(share), error=_error(error)
        )
        for low, high, share, error in zip(
            found.edges[:-1], found.edges[1:], found.shares, found.errors, strict=True
        )
    ]
    if found.below > 0:
        below = DensityBin(
            low=None, high=float(10.0 ** found.edges[0]), share=found.below,
            error=_error(found.below_error),
        )  # fmt: skip
        bins.insert(0, below)
    return tuple(bins)


def _error(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _feature_density(found: FeatureBlock, count: int) -> tuple[DensityBin, ...]:
    """Exact shares of all eigenvalues of the solved rows, with the 1/N of the mean loss."""
    places = np.flatnonzero(found.counts)
    total = max(1, int(found.counts.sum()))
    return tuple(
        DensityBin(
            low=float(10.0 ** (DECADES[0] + place / PER_DECADE)) / count,
            high=float(10.0 ** (DECADES[0] + (place + 1) / PER_DECADE)) / count,
            share=float(found.counts[place]) / total,
            error=0.0 if len(found.rows) == count else None,
        )
        for place in range(places[0], places[-1] + 1)
    ) if len(places) else ()  # fmt: skip
