"""Slow, literal references in float64, written from the definitions and from nothing in nccli."""

from __future__ import annotations

import numpy as np


def softmax_rows(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def smoothed_targets(labels, num_classes, delta):
    targets = np.full((len(labels), num_classes), delta / num_classes)
    targets[np.arange(len(labels)), labels] += 1 - delta
    return targets


# --- the Hessian, entry by entry ----------------------------------------------------------------


def joint_hessian(weight, features, labels, delta, lambda_w=0.0, lambda_h=0.0, bias=None):
    """Dense Hessian of the UFM objective in (W, H): Kd + Nd rows, from the chain rule."""
    num_classes, dim = weight.shape
    count = len(features)
    bias = np.zeros(num_classes) if bias is None else bias
    probabilities = softmax_rows(features @ weight.T + bias)
    gradient = probabilities - smoothed_targets(labels, num_classes, delta)
    size = num_classes * dim + count * dim
    hessian = np.zeros((size, size))
    for i in range(count):
        # Jacobian of the logits of sample i with respect to all variables
        jacobian = np.zeros((num_classes, size))
        own = num_classes * dim + i * dim
        for k in range(num_classes):
            jacobian[k, k * dim : (k + 1) * dim] = features[i]
            jacobian[k, own : own + dim] = weight[k]
        curvature = np.diag(probabilities[i]) - np.outer(probabilities[i], probabilities[i])
        hessian += jacobian.T @ curvature @ jacobian / count
        for k in range(num_classes):  # second derivative of the logit w_k . h_i
            for a in range(dim):
                hessian[k * dim + a, own + a] += gradient[i, k] / count
                hessian[own + a, k * dim + a] += gradient[i, k] / count
    diagonal = np.concatenate(
        [np.full(num_classes * dim, lambda_w), np.full(count * dim, lambda_h)]
    )
    return hessian + np.diag(diagonal)


def simplex_directions(num_classes, dim, rng):
    """Q (d, K): a random isometry on the complement of the ones vector."""
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:, : num_classes - 1]
    centering = np.eye(num_classes) - 1 / num_classes
    values, vectors = np.linalg.eigh(centering)
    return basis @ vectors[:, values > 0.5].T
