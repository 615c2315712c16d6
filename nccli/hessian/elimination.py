"""Products with the joint Hessian after H is eliminated, in passes over the rows.

N samples, K classes, X variables of a class, B vectors U (K, X) at a time. In the notation of
`nccli.hessian.joint`, with mu = N lambda (less the penalty) and the eliminated part of a sample
s = (U^T g + W^T (A U h + A q)) / mu, where q = W s solves the K x K system

    mu q = W U^T g + W W^T A U h + W W^T A q,

T(lambda) U = (1/N) sum_i [(A U h + A q) h^T + g s^T]. No vector with N D entries is formed. As a
series in 1 / mu, q_1 = W U^T g + W W^T A U h and q_(m+1) = W W^T A q_m.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nccli.collapse.spans import Span
from nccli.hessian.curvature import curve, gradients
from nccli.hessian.layer import Block, LastLayer, Numbers
from nccli.logits import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """T(lambda) u for each vector, and the eliminated parts s that belong to it."""

    images_BKX: Floats
    squares_B: Floats  # sum_i |s_i|^2
    lost_B: Floats  # square of what the rows of H leave unsolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Eliminated:
    """The problem in W alone; bound_h bounds the eigenvalues of F."""

    layer: LastLayer
    label_smoothing: float
    bound_h: float
    penalty_w: float
    penalty_h: float

    def ratio(self, value: float) -> float:
        """By how much a term of the series is smaller than the last; inf where it is not."""
        room = value - self.penalty_h
        return self.bound_h / room if room > 0 else math.inf

    def moments(self, vectors_BKX: Floats, lowest: float, order: int) -> Floats:
        """The series of T(lambda) U in mu_lowest / mu, from one pass: (order + 1, B, K, X)."""
        layer, mu = self.layer, self.layer.count * (lowest - self.penalty_h)
        series_SBKX = np.zeros((order + 1, *vectors_BKX.shape))
        gradients_KK = np.zeros((layer.num_classes, layer.num_classes))
        mixed_SBKK = np.zeros((order + 1, len(vectors_BKX), *gradients_KK.shape))
        parts = layer.over_rows(
            _moments_part, vectors_BKX, mu, order, self.label_smoothing,
            partial_bytes=series_SBKX.nbytes,
        )  # fmt: skip
        for part_SBKX, part_KK, part_SBKK in parts:
            series_SBKX += part_SBKX
            gradients_KK += part_KK
            mixed_SBKK += part_SBKK
        if order:
            series_SBKX[1] += gradients_KK @ _without_bias(layer, vectors_BKX) / mu
            series_SBKX[1:] += mixed_SBKK[:-1] @ layer.weight_KX / mu
        series_SBKX /= layer.count
        series_SBKX[0] += self.penalty_w * vectors_BKX
        return series_SBKX

    def image(self, vectors_BKX: Floats, values_B: Floats) -> Image:
        """T(value) times each vector, q to the last digit, from one pass over the rows."""
        layer, ratio = self.layer, self.ratio(float(values_B.min()))
        digits = math.log(np.finfo(layer.dtype).eps)
        steps = max(1, math.ceil(digits / math.log(ratio))) if ratio > 0 else 1
        mu_B = layer.count * (values_B - self.penalty_h)
        images_BKX = np.zeros(vectors_BKX.shape)
        gradients_KK = np.zeros((layer.num_classes, layer.num_classes))
        mixed_BKK = np.zeros((len(vectors_BKX), *gradients_KK.shape))
        scalars_2B = np.zeros((2, len(vectors_BKX)))
        parts = layer.over_rows(
            _image_part, vectors_BKX, mu_B, steps, self.label_smoothing,
            partial_bytes=images_BKX.nbytes,
        )  # fmt: skip
        for part_BKX, part_KK, part_BKK, part_2B in parts:
            images_BKX += part_BKX
            gradients_KK += part_KK
            mixed_BKK += part_BKK
            scalars_2B += part_2B
        free_BKX = _without_bias(layer, vectors_BKX)
        crossed_BKX = gradients_KK @ free_BKX + mixed_BKK @ layer.weight_KX
        images_BKX += crossed_BKX / mu_B[:, None, None]
        images_BKX = images_BKX / layer.count + self.penalty_w * vectors_BKX
        return Image(images_BKX=images_BKX, squares_B=scalars_2B[0], lost_B=scalars_2B[1])


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """A block of rows and what every product begins with."""

    block: Block
    g_NK: Numbers
    curved_NBK: Numbers  # A U h
    constant_NBK: Numbers  # W U^T g + W W^T A U h

    def curve(self, q_NBK: Numbers) -> Numbers:
        """A q."""
        block = self.block
        return curve(block.probabilities_NK, block.top_N, q_NBK, out=np.empty_like(q_NBK))


def _rows(
    layer: LastLayer, span: Span, vectors_BKX: Floats, grams: _Grams, label_smoothing: float
) -> Iterator[_Rows]:
    count, classes, width = vectors_BKX.shape
    for block in layer.blocks(span, vectors_BKX.reshape(-1, width).T):
        p_NK, top_N = block.probabilities_NK, block.top_N
        g_NK = gradients(p_NK, top_N, layer.labels_N[block.rows], label_smoothing)
        changes_NBK = block.products_NM.reshape(block.count, count, classes)
        curved_NBK = curve(p_NK, top_N, changes_NBK)
        constant_NBK = np.einsum("nl,bkl->nbk", g_NK, grams.cross_BKK, optimize=True)
        yield _Rows(
            block=block,
            g_NK=g_NK,
            curved_NBK=curved_NBK,
            constant_NBK=constant_NBK + curved_NBK @ grams.own_KK,
        )


def _moments_part(
    layer: LastLayer,
    span: Span,
    vectors_BKX: Floats,
    mu: float,
    order: int,
    label_smoothing: float,
) -> tuple[Floats, Floats, Floats]:
    count, classes, _ = vectors_BKX.shape
    grams = _Grams.of(layer, vectors_BKX)
    series_SBKX = np.zeros((order + 1, *vectors_BKX.shape))
    gradients_KK = np.zeros((classes, classes))
    mixed_SBKK = np.zeros((order + 1, count, classes, classes))
    for rows in _rows(layer, span, vectors_BKX, grams, label_smoothing):
        inputs_NX, term_NBK = rows.block.inputs_NX, rows.curved_NBK
        scale = term_NBK.dtype.type(1.0 / mu)
        gradients_KK += rows.g_NK.T @ rows.g_NK
        for place in range(order + 1):
            flat_NM = term_NBK.reshape(rows.block.count, -1)
            series_SBKX[place] += (flat_NM.T @ inputs_NX).reshape(vectors_BKX.shape)
            if place == order:
                break
            mixed_BKK = (flat_NM.T @ rows.g_NK).reshape(count, classes, classes)
            mixed_SBKK[place] += mixed_BKK.transpose(0, 2, 1)
            q_NBK = term_NBK @ grams.own_KK if place else rows.constant_NBK
            q_NBK *= scale
            term_NBK = rows.curve(q_NBK)
    return series_SBKX, gradients_KK, mixed_SBKK


def _image_part(
    layer: LastLayer,
    span: Span,
    vectors_BKX: Floats,
    mu_B: Floats,
    steps: int,
    label_smoothing: float,
) -> tuple[Floats, Floats, Floats, Floats]:
    count, classes, width = vectors_BKX.shape
    grams = _Grams.of(layer, vectors_BKX)
    total_MX = np.zeros((count * classes, width))
    gradients_KK = np.zeros((classes, classes))
    mixed_BKK = np.zeros((count, classes, classes))
    scalars_2B = np.zeros((2, count))
    # (mu - W^T A W) s - y = W^T A (q - W s), and |A| <= 1/2
    bound = float(np.linalg.norm(grams.own_KK, 2)) / 4 / layer.count**2
    for rows in _rows(layer, span, vectors_BKX, grams, label_smoothing):
        curved_q_NBK, gap_NBK = _solved(rows, grams.own_KK, mu_B, steps)
        both_NBK = rows.curved_NBK + curved_q_NBK
        total_MX += both_NBK.reshape(rows.block.count, -1).T @ rows.block.inputs_NX
        gradients_KK += rows.g_NK.T @ rows.g_NK
        mixed_BKK += np.einsum("nk,nbl->bkl", rows.g_NK, both_NBK, optimize=True)
        scalars_2B[0] += _squares(rows.g_NK, both_NBK, grams) / mu_B**2
        scalars_2B[1] += bound * np.square(gap_NBK).sum(axis=(0, 2))
    return total_MX.reshape(vectors_BKX.shape), gradients_KK, mixed_BKK, scalars_2B


def _solved(rows: _Rows, gram_KK: Numbers, mu_B: Floats, steps: int) -> tuple[Numbers, Numbers]:
    """A q, where q = (constant + W W^T A q) / mu by its fixed point, and by how much q is off."""
    scale_B1 = (1.0 / mu_B)[:, None].astype(rows.constant_NBK.dtype)
    q_NBK = rows.constant_NBK * scale_B1
    for _ in range(steps):
        q_NBK = (rows.constant_NBK + rows.curve(q_NBK) @ gram_KK) * scale_B1
    curved_NBK = rows.curve(q_NBK)
    return curved_NBK, q_NBK - (rows.constant_NBK + curved_NBK @ gram_KK) * scale_B1


def _squares(g_NK: Numbers, both_NBK: Numbers, grams: _Grams) -> Floats:
    """Sum over rows of |U^T g + W^T both|^2, which is mu^2 |s|^2: (B,)."""
    alone_B = np.einsum("nk,bkl,nl->b", g_NK, grams.other_BKK, g_NK, optimize=True)
    crossed_B = np.einsum("nbk,bkl,nl->b", both_NBK, grams.cross_BKK, g_NK, optimize=True)
    own_B = np.einsum("nbk,kl,nbl->b", both_NBK, grams.own_KK, both_NBK, optimize=True)
    squares_B: Floats = alone_B + 2 * crossed_B + own_B
    return squares_B
