"""Temperature scaling: one number T divides all logits so that the confidence fits.

N samples, K classes, F folds, C sums. In u = log(1/T) the mean NLL has one minimum. Its derivative
f and the next two are summed over the rows at points of a fixed grid of u, by fold, in one pass a
point; between the two neighbours where f changes its sign, a quintic that agrees in all three at
both ends gives the root to 1e-11. Every fit, the whole split's and that without each fold, reads
the same sums: of the folds that it may see, and nothing else. Where a search comes from (a small
part of the rows) decides which points are visited, never the answer.

Source: Guo et al. 2017; whether there is an optimum is decided from the data, not by running to a
bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nccli.calibration.kernel import Room, dots, own_places, own_room, relative
from nccli.calibration.predictions import Numbers, Predictions, of_arrays
from nccli.collapse.spans import Span
from nccli.logits import Floats, Integers

FOLDS = 5  # five folds: common practice for cross-validation, no deeper source
STEP = (
    1 / 16
)  # of the grid of log(1/T): the quintic is right to STEP^6 / 46080 of f's 6th derivative
FURTHEST = 700  # of log(1/T): beyond, no double holds 1/T
MAX_STEPS = 200
HALVINGS = 52
LEAP = 2.0  # the most that log(1/T) moves at a time
ROUNDING = 500  # units of rounding: a mean is no signal below
SMALL_PART = 16  # one row of so many shows where to begin
FEWEST_ROWS = 1024
SMALL_BYTES = 4 * 2**20
STRETCHES = 16  # that these rows are taken from

IDENTIFIED = "identified"
ALL_RIGHT = (
    "not identified: every sample is right, or tied, so the NLL falls for ever as T goes to 0"
)
NO_SIGNAL = "not identified: the labels favour no logit, so the NLL is least as T goes to infinity"
NOT_CONVERGED = "not identified: the search ran to the largest or smallest number there is"
NOTHING = "not identified: no samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """An optimal temperature, or why there is none."""

    value: float | None  # T
    standard_error: float | None  # of T, from the sandwich of score and curvature
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFit:
    """The temperature of the whole split, and of each fold from the other folds alone."""

    whole: Temperature
    others: tuple[Temperature, ...]


def fit_temperature(found: Predictions) -> Temperature:
    """Return the T > 0 that minimises the mean NLL of softmax(z / T)."""
    return _Search(found, None, 1).fit((0,))


def cross_fit(found: Predictions, folds_N: Integers, *, folds: int) -> CrossFit:
    """Fit on the whole split and on all folds but each; no fold has a part in its own."""
    search = _Search(found, folds_N, folds)
    everything = tuple(range(folds))
    return CrossFit(
        whole=search.fit(everything),
        others=tuple(
            search.fit(tuple(other for other in everything if other != fold)) for fold in everything
        ),
    )


def stratified_folds(labels_N: Integers, *, folds: int = FOLDS, seed: int = 0) -> Integers:
    """Return the fold (0..folds-1) of each sample, every class spread evenly over the folds."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels_N))
    by_class = shuffled[np.argsort(labels_N[shuffled], kind="stable")]
    fold_N = np.empty(len(labels_N), dtype=np.int64)
    fold_N[by_class] = np.arange(len(labels_N)) % folds
    return fold_N


# --- the search ---------------------------------------------------------------------------------

# The sums of a pass: rows; f and its next two derivatives in u; the squares of the rows' f and
# their derivative; and what tells whether there is an optimum: the rows whose label is below the
# top, the mean of all logits measured from the label's own, and a size to judge it by.
SUMS = 9
COUNT, SLOPE, SECOND, THIRD, SQUARE, SQUARE_SLOPE, WRONG, MEAN, SIZE = range(SUMS)
Sums = Callable[[int], Floats]


class _Search:
    """The sums that were made, by grid point, and fits that share them."""

    def __init__(self, found: Predictions, folds_N: Integers | None, folds: int) -> None:
        self._found, self._folds_N, self._folds = found, folds_N, folds
        self._kept: dict[int, Floats] = {}
        self._start: int | None = None

    def fit(self, folds: Sequence[int]) -> Temperature:
        """The temperature of the rows of some folds."""
        if self._start is None:
            self._start = _beginning(self._found)

        def sums(place: int) -> Floats:
            chosen_C: Floats = self._at(place)[list(folds)].sum(axis=0)
            return chosen_C

        problem = _undefined(sums(self._start), self._found.dtype)
        low = None if problem else _sign_change(sums, self._start)
        if low is None:
            status = problem or NOT_CONVERGED
            return Temperature(value=None, standard_error=None, status=status)
        self._start = low
        return _root(low, sums(low), sums(low + 1))

    def _at(self, place: int) -> Floats:
        if place not in self._kept:
            spans = self._found.spans()
            arguments = (math.exp(place * STEP), self._folds_N, self._folds)
            parts = self._found.over(spans, _sums_part, *arguments)
            total_FC = np.zeros((self._folds, SUMS))
            for part_FC in parts:
                total_FC += part_FC
            self._kept[place] = total_FC
        return self._kept[place]


def _undefined(sums: Floats, dtype: np.dtype[np.floating]) -> str:
    if not sums[COUNT]:
        return NOTHING
    if not np.isfinite(sums[:WRONG]).all():
        return NOT_CONVERGED
    if not sums[WRONG] and sums[SIZE] > 0:
        return ALL_RIGHT
    rounding = ROUNDING * float(np.finfo(dtype).eps)
    # masked logits may make means overflow: then labels are favoured, whatever they are
    known = np.isfinite(sums[[MEAN, SIZE]]).all()
    return NO_SIGNAL if known and -sums[MEAN] <= rounding * sums[SIZE] else ""


def _sign_change(sums: Sums, place: int) -> int | None:
    """The grid point below the root, by Newton steps that are held between known signs."""
    low: int | None = None
    high: int | None = None
    for _ in range(MAX_STEPS):
        if abs(place * STEP) > FURTHEST:
            return None
        found = sums(place)
        rises = found[SLOPE] > 0
        low, high = (low, place) if rises else (place, high)
        if low is not None and high is not None and high - low == 1:
            return low
        exact = -found[SLOPE] / found[SECOND] / STEP if found[SECOND] > 0 else -math.inf
        if found[SECOND] <= 0 or not math.isfinite(exact):
            exact = -math.inf if rises else math.inf
        leap = LEAP / STEP
        step = max(-leap, min(leap, exact))
        following = place + (min(-1, math.floor(step)) if rises else max(1, math.ceil(step)))
        if low is not None and high is not None and not low < following < high:
            following = (low + high) // 2
        place = following
    return None


def _beginning(found: Predictions) -> int:
    """Where the root of a small part of the rows lies; where that has none, T = 1 or so."""
    part = _small_part(found)
    kept: dict[int, Floats] = {}

    def sums(place: int) -> Floats:
        if place not in kept:
            whole = Span(0, part.count)
            kept[place] = _sums_part(part, whole, math.exp(place * STEP), None, 1)[0]
        return kept[place]

    size = sums(0)[SIZE] / max(sums(0)[COUNT], 1.0)
    place = 0 if 1e-3 < size < 1e3 or not 0 < size < math.inf else round(-math.log(size) / STEP)
    if _undefined(sums(place), found.dtype):
        return place
    low = _sign_change(sums, place)
    return place if low is None else low


def _small_part(found: Predictions) -> Predictions:
    """Some stretches of rows, in memory."""
    most = max(FEWEST_ROWS, SMALL_BYTES // (found.dtype.itemsize * found.num_classes))
    rows = min(max(FEWEST_ROWS, found.count // SMALL_PART), most)
    if rows >= found.count:
        return found
    spans = [
        Span(start, start + rows // STRETCHES)
        for start in (found.count * place // STRETCHES for place in range(STRETCHES))
    ]
    blocks = [
        (block.copy(), found.labels_N[at]) for span in spans for at, block in found.blocks(span)
    ]
    logits, labels = zip(*blocks, strict=True)
    return of_arrays(np.concatenate(logits), np.concatenate(labels))


def _root(low: int, below: Floats, above: Floats) -> Temperature:
    """The root between two grid points, and the standard error of T there."""
    ends = [
        (sums[SLOPE], STEP * sums[SECOND], STEP * STEP * sums[THIRD]) for sums in (below, above)
    ]
    quintic = _quintic(*ends)
    share = _zero(quintic)
    curvature = float(quintic.deriv()(share)) / STEP
    squares = [
        (sums[SQUARE], STEP * sums[SQUARE_SLOPE]) for sums in (below, above)
    ]  # a cubic does for the error
    square = float(_cubic(*squares)(share))
    value = math.exp(-(low + share) * STEP)
    if curvature <= 0 or not 0 < value < math.inf:
        return Temperature(value=None, standard_error=None, status=NOT_CONVERGED)
    error = value * math.sqrt(max(square, 0.0)) / curvature
    return Temperature(value=value, standard_error=error, status=IDENTIFIED)


def _zero(rising: np.polynomial.Polynomial) -> float:
    """Where a polynomial passes zero in [0, 1]: halving, as it is cheap and cannot fail."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _quintic(
    start: tuple[float, float, float], end: tuple[float, float, float]
) -> np.polynomial.Polynomial:
    """The polynomial on [0, 1] with these values, derivatives and second derivatives."""
    (f0, d0, c0), (f1, d1, c1) = start, end
    rest = f1 - f0 - d0 - c0 / 2, d1 - d0 - c0, c1 - c0
    return np.polynomial.Polynomial(
        [
            f0, d0, c0 / 2,
            10 * rest[0] - 4 * rest[1] + rest[2] / 2,
            -15 * rest[0] + 7 * rest[1] - rest[2],
            6 * rest[0] - 3 * rest[1] + rest[2] / 2,
        ]
    )  # fmt: skip


def _cubic(start: tuple[float, float], end: tuple[float, float]) -> np.polynomial.Polynomial:
    (f0, d0), (f1, d1) = start, end
    rest = f1 - f0
    return np.polynomial.Polynomial([f0, d0, 3 * rest - 2 * d0 - d1, d0 + d1 - 2 * rest])


# --- one pass -----------------------------------------------------------------------------------


def _sums_part(
    found: Predictions, span: Span, inverse: float, folds_N: Integers | None, folds: int
) -> Floats:
    """All sums of a span at one 1/T, by fold: (F, C)."""
    sums_FC, room = np.zeros((folds, SUMS)), own_room()
    for rows, logits_NK in found.blocks(span):
        rows_CN = _row_sums(logits_NK, found.labels_N[rows], inverse, room)
        if folds_N is None:
            sums_FC[0] += rows_CN.sum(axis=1)
            continue
        for place, row_N in enumerate(rows_CN):
            sums_FC[:, place] += np.bincount(folds_N[rows], weights=row_N, minlength=folds)
    return sums_FC


def _row_sums(logits_NK: Numbers, labels_N: Integers, inverse: float, room: Room) -> Floats:
    """What each row adds to the sums (C, n); b = 1/T, r the logits measured from the label's own.

    f = b E[r], f' = f + b^2 Var[r], f'' = f + 3 b^2 Var[r] + b^3 K3[r], moments under softmax(b z);
    they are taken around the top, which bears most of the weight, so that nothing cancels.
    """
    shifted, axis = relative(logits_NK, room)
    own = own_places(labels_N, shifted.shape, axis)
    margins_N = -shifted.ravel()[own].astype(np.float64)
    with np.errstate(over="ignore"):
        means_N = shifted.mean(axis=axis).astype(np.float64)
    shifted *= shifted.dtype.type(inverse)
    terms = np.exp(shifted, out=room.array("terms", shifted.shape, shifted.dtype))
    total_N = terms.sum(axis=axis).astype(np.float64)
    terms *= shifted
    first_N = terms.sum(axis=axis) / total_N
    second_N = dots(terms, shifted, axis) / total_N
    terms *= shifted
    third_N = dots(terms, shifted, axis) / total_N
    variance_N = second_N - first_N**2
    skew_N = third_N - 3 * second_N * first_N + 2 * first_N**3
    slope_N = first_N + inverse * margins_N
    curved_N = slope_N + variance_N
    rows_CN = room.array("sums", (SUMS, len(labels_N)), np.float64)
    rows_CN[COUNT] = 1.0
    rows_CN[SLOPE], rows_CN[SECOND] = slope_N, curved_N
    rows_CN[THIRD] = slope_N + 3 * variance_N + skew_N
    np.square(slope_N, out=rows_CN[SQUARE])
    np.multiply(2.0 * slope_N, curved_N, out=rows_CN[SQUARE_SLOPE])
    np.greater(margins_N, 0.0, out=rows_CN[WRONG])
    np.add(means_N, margins_N, out=rows_CN[MEAN])
    np.subtract(margins_N, means_N, out=rows_CN[SIZE])
    return rows_CN
