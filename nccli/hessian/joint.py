"""The joint Hessian in (W, H), K X + N D variables, through a problem in W alone.

N samples, K classes, X variables of a class, D features, B vectors. In blocks (loss only)

    [ G    C ]     G the W block; F block diagonal, F_i = (1/N) W^T A_i W;
    [ C^T  F ]     C_i s = (1/N) [A_i W s h_i^T + g_i s^T],  g_i = p_i - y_i^delta.

Eliminating H: lambda above all eigenvalues of F is an eigenvalue if and only if it is one of

    T(lambda) = G + C (lambda - F)^{-1} C^T                                    (K X) x (K X),

and the largest lambda is the largest eigenvalue of T(lambda), a decreasing function of it. With
mu = N lambda the eliminated part of a sample is s = (U^T g + W^T (A U h + A q)) / mu, where
q = W s solves the K x K system q = (W U^T g + W W^T A U h) / mu + W W^T A q / mu. So a product
with T costs what one with G does, and no vector with N D entries is ever formed.

Source: nccli; checked against dense Hessians in the tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from nccli.collapse.spans import Span
from nccli.hessian import davidson
from nccli.hessian.curvature import curve, gradients
from nccli.hessian.layer import LastLayer, Numbers
from nccli.hessian.weight_block import SALT, TOLERANCE_DOUBLE, TOLERANCE_SINGLE, Solved
from nccli.logits import Floats

MAX_RATIO = 0.5  # of the largest eigenvalue of F to lambda: the fixed point gains a bit a step
MAX_ROUNDS = 30
MAX_PASSES = 20  # a round
LOOSE, TIGHTER = 1e-3, 1e-2  # residuals of a round: to begin with, and beside its last step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shift:
    """What a product with T(lambda) needs beside the rows."""

    label_smoothing: float
    mu: float  # N (lambda - lambda_h)
    steps: int  # of the fixed point for q


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """T(lambda) u for each vector, and the eliminated parts s that belong to it."""

    images_BKX: Floats
    squares_B: Floats  # sum_i |s_i|^2
    lost_B: Floats  # square of what the rows of H leave unsolved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eliminated:
    """The problem in W alone; bound_h bounds the eigenvalues of F."""

    layer: LastLayer
    label_smoothing: float
    bound_h: float
    penalty_w: float
    penalty_h: float

    def ratio(self, value: float) -> float:
        """By how much a step of the fixed point gains at this lambda; inf where it does not."""
        room = value - self.penalty_h
        return self.bound_h / room if room > 0 else math.inf

    def image(self, vectors_BKX: Floats, value: float) -> _Image:
        """T(value) times B vectors, from one pass over the rows."""
        layer, ratio = self.layer, self.ratio(value)
        digits = math.log(np.finfo(layer.dtype).eps)
        steps = max(1, math.ceil(digits / math.log(ratio))) if ratio > 0 else 1
        mu = layer.count * (value - self.penalty_h)
        shift = _Shift(label_smoothing=self.label_smoothing, mu=mu, steps=steps)
        images_BKX = np.zeros(vectors_BKX.shape)
        gradients_KK = np.zeros((layer.num_classes, layer.num_classes))
        mixed_BKK = np.zeros((len(vectors_BKX), *gradients_KK.shape))
        scalars_2B = np.zeros((2, len(vectors_BKX)))
        for part_BKX, part_KK, part_BKK, part_2B in layer.over_rows(
            _eliminated_part, vectors_BKX, shift, partial_bytes=images_BKX.nbytes
        ):
            images_BKX += part_BKX
            gradients_KK += part_KK
            mixed_BKK += part_BKK
            scalars_2B += part_2B
        free_BKX = _without_bias(layer, vectors_BKX)
        images_BKX += (gradients_KK @ free_BKX + mixed_BKK @ layer.weight_KX) / mu
        images_BKX = images_BKX / layer.count + self.penalty_w * vectors_BKX
        return _Image(images_BKX=images_BKX, squares_B=scalars_2B[0], lost_B=scalars_2B[1])


def largest_joint(
    layer: LastLayer,
    start: Solved,
    *,
    label_smoothing: float,
    bound_h: float,
    penalty_w: float = 0.0,
    penalty_h: float = 0.0,
    guess: Solved | None = None,
) -> Solved | None:
    """Return the largest eigenvalue of the joint Hessian, certified in double.

    start: that of the W block; bound_h: upper bound of the eigenvalues of F (loss only).
    guess: the answer without penalties, where that is known.
    None where F is not small beside lambda, so that eliminating H would not converge.
    """
    problem = _Eliminated(
        layer=layer,
        label_smoothing=label_smoothing,
        bound_h=bound_h,
        penalty_w=penalty_w,
        penalty_h=penalty_h,
    )
    lowest, vector_1KX = float(start.values[0]) + penalty_w, start.vectors_BKX[:1]
    if not problem.ratio(lowest) <= MAX_RATIO:
        return None
    value = lowest if guess is None else float(guess.values[0]) + penalty_w
    vector_1KX = vector_1KX if guess is None else guess.vectors_BKX[:1]
    # at a symmetric point the largest may lie where no product with this vector leads
    random_1KX = np.random.default_rng(0).standard_normal(vector_1KX.shape)
    vector_1KX = vector_1KX + SALT * random_1KX / np.linalg.norm(random_1KX)
    tolerance = TOLERANCE_SINGLE if layer.dtype == np.float32 else 10 * TOLERANCE_DOUBLE
    passes, inner = 0, LOOSE
    for _ in range(MAX_ROUNDS):
        found = davidson.largest(
            partial(_flat_images, problem, vector_1KX.shape[1:], value),
            vector_1KX.reshape(1, -1),
            wanted=1,
            tolerance=inner,
            max_passes=MAX_PASSES,
        )
        vector_1KX = found.vectors_BM.reshape(vector_1KX.shape)
        squares = float(problem.image(vector_1KX, value).squares_B[0])
        passes += found.passes + 1
        # Newton on theta(lambda) = lambda, theta' = -sum |s|^2: the Rayleigh quotient of (u, s)
        moved = (float(found.values_B[0]) - value) / (1.0 + squares)
        if moved > value:  # far off, where each step would only double it: theta is c^2 / lambda
            moved = math.sqrt(value * float(found.values_B[0])) - value
        value = max(value + moved, lowest)
        if abs(moved) <= tolerance / 4 * value and inner == tolerance / 4:
            break
        # the Rayleigh quotient is right to the square of the vector's error: no need to be exact
        inner = max(tolerance / 4, min(LOOSE, TIGHTER * abs(moved) / value))
    precise = replace(problem, layer=layer.precise)
    return _certified(precise, vector_1KX, value, passes=passes, tolerance=tolerance)


def _flat_images(
    problem: _Eliminated, shape: tuple[int, ...], value: float, vectors_BM: Floats
) -> Floats:
    vectors_BKX = vectors_BM.reshape(-1, *shape)
    return problem.image(vectors_BKX, value).images_BKX.reshape(vectors_BM.shape)


def _certified(
    problem: _Eliminated, vector_1KX: Floats, value: float, *, passes: int, tolerance: float
) -> Solved:
    """The Rayleigh quotient and the residual of the whole vector (u, s), in double."""
    image = problem.image(vector_1KX, value)
    residual_1KX = image.images_BKX - value * vector_1KX
    length = 1.0 + float(image.squares_B[0])
    change = float((residual_1KX * vector_1KX).sum()) / length
    # the residual belongs to `value`; moving to the Rayleigh quotient can only make it smaller
    error = math.sqrt((float(np.square(residual_1KX).sum()) + float(image.lost_B[0])) / length)
    error += 4 * np.finfo(np.float64).eps * abs(value)
    return Solved(
        values=np.array([value + change]),
        errors=np.array([error]),
        vectors_BKX=vector_1KX,
        passes=passes + 1,
        converged=bool(error <= 10 * tolerance * abs(value)),
    )


def _without_bias(layer: LastLayer, vectors_BKX: Floats) -> Floats:
    if not layer.with_bias:
        return vectors_BKX
    free_BKX = vectors_BKX.copy()
    free_BKX[..., -1] = 0.0
    return free_BKX


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grams:
    """The K x K products of W and U, in the precision of a layer."""

    own_KK: Numbers  # W W^T
    cross_BKK: Numbers  # W U^T
    other_BKK: Numbers  # U U^T

    @classmethod
    def of(cls, layer: LastLayer, vectors_BKX: Floats) -> _Grams:
        weight_KX, free_BKX = layer.weight_KX, _without_bias(layer, vectors_BKX)
        turned_BXK = free_BKX.transpose(0, 2, 1)
        return cls(
            own_KK=(weight_KX @ weight_KX.T).astype(layer.dtype),
            cross_BKK=(weight_KX @ turned_BXK).astype(layer.dtype),
            other_BKK=(free_BKX @ turned_BXK).astype(layer.dtype),
        )


def _eliminated_part(
    layer: LastLayer, span: Span, vectors_BKX: Floats, shift: _Shift
) -> tuple[Floats, Floats, Floats, Floats]:
    count, classes, width = vectors_BKX.shape
    grams = _Grams.of(layer, vectors_BKX)
    total_MX = np.zeros((count * classes, width))
    gradients_KK = np.zeros((classes, classes))
    mixed_BKK = np.zeros((count, classes, classes))
    scalars_2B = np.zeros((2, count))
    for block in layer.blocks(span, vectors_BKX.reshape(-1, width).T):
        p_NK, top_N = block.probabilities_NK, block.top_N
        g_NK = gradients(p_NK, top_N, layer.labels_N[block.rows], shift.label_smoothing)
        changes_NBK = block.products_NM.reshape(block.count, count, classes)
        curved_NBK = curve(p_NK, top_N, changes_NBK)  # A U h
        # W U^T g + W W^T A U h: what q solves for, times mu
        constant_NBK = np.einsum("nl,bkl->nbk", g_NK, grams.cross_BKK, optimize=True)
        constant_NBK = constant_NBK + curved_NBK @ grams.own_KK
        curved_q_NBK, gap_NBK = _solved(p_NK, top_N, constant_NBK, grams.own_KK, shift)
        both_NBK = curved_NBK + curved_q_NBK
        total_MX += both_NBK.reshape(block.count, -1).T @ block.inputs_NX
        gradients_KK += g_NK.T @ g_NK
        mixed_BKK += np.einsum("nk,nbl->bkl", g_NK, both_NBK, optimize=True)
        scalars_2B[0] += _squares(g_NK, both_NBK, grams) / shift.mu**2
        # (mu - W^T A W) s - y = W^T A (q - W s), and |A| <= 1/2
        bound = float(np.linalg.norm(grams.own_KK, 2)) / 4 / layer.count**2
        scalars_2B[1] += bound * np.square(gap_NBK).sum(axis=(0, 2))
    return total_MX.reshape(vectors_BKX.shape), gradients_KK, mixed_BKK, scalars_2B


def _solved(
    p_NK: Numbers, top_N: Numbers, constant_NBK: Numbers, gram_KK: Numbers, shift: _Shift
) -> tuple[Numbers, Numbers]:
    """A q, where q = (constant + W W^T A q) / mu by its fixed point, and by how much q is off."""
    mu = constant_NBK.dtype.type(shift.mu)
    q_NBK = constant_NBK / mu
    for _ in range(shift.steps):
        curved_NBK = curve(p_NK, top_N, q_NBK, out=np.empty_like(q_NBK))
        q_NBK = (constant_NBK + curved_NBK @ gram_KK) / mu
    curved_NBK = curve(p_NK, top_N, q_NBK, out=np.empty_like(q_NBK))
    return curved_NBK, q_NBK - (constant_NBK + curved_NBK @ gram_KK) / mu


def _squares(g_NK: Numbers, both_NBK: Numbers, grams: _Grams) -> Floats:
    """Sum over rows of |U^T g + W^T both|^2, which is mu^2 |s|^2: (B,)."""
    alone_B = np.einsum("nk,bkl,nl->b", g_NK, grams.other_BKK, g_NK, optimize=True)
    crossed_B = np.einsum("nbk,bkl,nl->b", both_NBK, grams.cross_BKK, g_NK, optimize=True)
    own_B = np.einsum("nbk,kl,nbl->b", both_NBK, grams.own_KK, both_NBK, optimize=True)
    squares_B: Floats = alone_B + 2 * crossed_B + own_B
    return squares_B
