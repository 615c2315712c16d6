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


def softmax_curvatures(probabilities):
    """diag(p) - p p^T of each row, p_k (1 - p_k) with 1 - p_k as the sum of the others."""
    found = []
    for p in probabilities:
        curvature = -np.outer(p, p)
        for k in range(len(p)):
            curvature[k, k] = p[k] * np.delete(p, k).sum()
        found.append(curvature)
    return np.array(found)


def weight_block(weight, features, bias=None, inputs=None):
    """Dense W block; `inputs` are the features, with a column of ones where b is a variable."""
    bias = np.zeros(len(weight)) if bias is None else bias
    inputs = features if inputs is None else inputs
    curvatures = softmax_curvatures(softmax_rows(features @ weight.T + bias))
    size = len(weight) * inputs.shape[1]
    blocks = np.einsum("nkl,na,nb->kalb", curvatures, inputs, inputs)
    return blocks.reshape(size, size) / len(features)


def joint_hessian(
    weight, features, labels, delta, lambda_w=0.0, lambda_h=0.0, bias=None, inputs=None
):
    """Dense Hessian of the UFM objective in (W, H): Kd + Nd rows, from the chain rule."""
    num_classes, dim = weight.shape
    count = len(features)
    bias = np.zeros(num_classes) if bias is None else bias
    inputs = features if inputs is None else inputs
    width = inputs.shape[1]
    probabilities = softmax_rows(features @ weight.T + bias)
    curvatures = softmax_curvatures(probabilities)
    gradient = probabilities - delta / num_classes
    for i in range(count):  # p_y - 1 as the sum of the others
        missing = np.delete(probabilities[i], labels[i]).sum()
        gradient[i, labels[i]] = delta * (1 - 1 / num_classes) - missing
    size = num_classes * width + count * dim
    hessian = np.zeros((size, size))
    for i in range(count):
        # Jacobian of the logits of sample i with respect to all variables
        jacobian = np.zeros((num_classes, size))
        own = num_classes * width + i * dim
        for k in range(num_classes):
            jacobian[k, k * width : (k + 1) * width] = inputs[i]
            jacobian[k, own : own + dim] = weight[k]
        hessian += jacobian.T @ curvatures[i] @ jacobian / count
        for k in range(num_classes):  # second derivative of the logit w_k . h_i
            for a in range(dim):
                hessian[k * width + a, own + a] += gradient[i, k] / count
                hessian[own + a, k * width + a] += gradient[i, k] / count
    diagonal = np.concatenate(
        [np.full(num_classes * width, lambda_w), np.full(count * dim, lambda_h)]
    )
    return hessian + np.diag(diagonal)


def hierarchy(weight, features, labels, bias):
    """Traces of Papyan's class, cross-class, within and own-class parts, sample by sample."""
    probabilities = softmax_rows(features @ weight.T + bias)
    count, num_classes = probabilities.shape
    gradients = np.einsum(
        "ikj,id->ikjd", np.eye(num_classes)[None] - probabilities[:, None, :], features
    ).reshape(count, num_classes, -1)
    parts = dict.fromkeys(("class", "cross_class", "within", "own"), 0.0)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        others = [k for k in range(num_classes) if k != c]
        weights = probabilities[members] / count
        total = weights[:, others].sum()
        mean = np.einsum("ik,ikm->m", weights[:, others], gradients[members][:, others]) / total
        parts["class"] += total * mean @ mean
        for k in others:
            own = weights[:, k] @ gradients[members, k] / weights[:, k].sum()
            parts["cross_class"] += weights[:, k].sum() * (own - mean) @ (own - mean)
            gaps = gradients[members, k] - own
            parts["within"] += weights[:, k] @ np.sum(gaps**2, axis=1)
        parts["own"] += weights[:, c] @ np.sum(gradients[members, c] ** 2, axis=1)
    return parts


def simplex_directions(num_classes, dim, rng):
    """Q (d, K): a random isometry on the complement of the ones vector."""
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:, : num_classes - 1]
    centering = np.eye(num_classes) - 1 / num_classes
    values, vectors = np.linalg.eigh(centering)
    return basis @ vectors[:, values > 0.5].T


# --- neural collapse ----------------------------------------------------------------------------


def class_means(features, labels):
    return np.stack([features[labels == c].mean(axis=0) for c in np.unique(labels)])


def nc1(features, labels, means=None):
    """tr(Sigma_W pinv(Sigma_B)) / K with d x d matrices; `means` replaces the split's own."""
    classes = np.unique(labels)
    means = class_means(features, labels) if means is None else means
    centred = means - means.mean(axis=0)
    within = np.zeros((features.shape[1],) * 2)
    for h, y in zip(features, labels, strict=True):
        residual = h - means[np.searchsorted(classes, y)]
        within += np.outer(residual, residual)
    within /= len(features)
    between = centred.T @ centred / len(classes)
    values, vectors = np.linalg.eigh(between)
    keep = np.argsort(values)[::-1][: min(len(classes) - 1, features.shape[1])]
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    return np.trace(within @ inverse) / len(classes)


def etf_distance(gram):
    k = len(gram)
    etf = (np.eye(k) - np.ones((k, k)) / k) / np.sqrt(k - 1)
    return np.linalg.norm(gram / np.linalg.norm(gram) - etf)


def centred_means(features, labels):
    means = class_means(features, labels)
    return means - means.mean(axis=0)


def self_duality(weight, centred):
    return np.linalg.norm(weight / np.linalg.norm(weight) - centred / np.linalg.norm(centred)) ** 2


def equinorm(rows):
    norms = [np.sqrt(np.sum(row**2)) for row in rows]
    return np.std(norms) / np.mean(norms)


def equiangular(rows):
    k = len(rows)
    gaps = [
        abs(rows[i] @ rows[j] / np.sqrt(rows[i] @ rows[i] * (rows[j] @ rows[j])) + 1 / (k - 1))
        for i in range(k)
        for j in range(k)
        if i != j
    ]
    return np.mean(gaps)


def nearest_centre_mismatch(features, weight, bias, centres):
    wrong = 0
    for h in features:
        nearest = np.argmin([np.sum((h - centre) ** 2) for centre in centres])
        wrong += nearest != np.argmax(weight @ h + bias)
    return wrong / len(features)


def cdnv(features, labels):
    classes = np.unique(labels)
    means = class_means(features, labels)
    variances = [
        np.mean(np.sum((features[labels == c] - mean) ** 2, axis=1))
        for c, mean in zip(classes, means, strict=True)
    ]
    pairs = [
        (variances[i] + variances[j]) / (2 * np.sum((means[i] - means[j]) ** 2))
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j
    ]
    return np.mean(pairs)


def smoothed_loss(logits, labels, delta):
    targets = smoothed_targets(labels, logits.shape[1], delta)
    return -np.mean(np.sum(targets * np.log(softmax_rows(logits)), axis=1))


def nontarget_spread(logits, labels):
    spreads = []
    for z, y in zip(logits, labels, strict=True):
        spreads.append(np.std(np.delete(z, y)) / (z.max() - z.min()))
    return np.mean(spreads)


# --- calibration --------------------------------------------------------------------------------


def bin_of(value, num_bins):
    for b in range(num_bins):
        if (b / num_bins < value or b == 0) and value <= (b + 1) / num_bins:
            return b
    return num_bins - 1


def ece(confidence, right, num_bins):
    total = 0.0
    for b in range(num_bins):
        inside = np.array([bin_of(c, num_bins) == b for c in confidence])
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


def mce(confidence, right, num_bins):
    gaps = [0.0]
    for b in range(num_bins):
        inside = np.array([bin_of(c, num_bins) == b for c in confidence])
        if inside.any():
            gaps.append(abs(right[inside].mean() - confidence[inside].mean()))
    return max(gaps)


def classwise_ece(probabilities, labels, num_bins):
    return np.mean(
        [
            ece(probabilities[:, k], (labels == k).astype(float), num_bins)
            for k in range(probabilities.shape[1])
        ]
    )


def brier_calibration(probabilities, labels, num_bins):
    total = 0.0
    for k in range(probabilities.shape[1]):
        bins = np.array([bin_of(value, num_bins) for value in probabilities[:, k]])
        for b in np.unique(bins):
            inside = bins == b
            gap = probabilities[inside, k].mean() - (labels[inside] == k).mean()
            total += inside.mean() * gap**2
    return total


def equal_mass_bins(values, num_bins):
    """Bin of each value by the rank of the middle of its ties."""
    middles = [(np.sum(values < v) + np.sum(values <= v) - 1) / 2 for v in values]
    return np.minimum(num_bins * np.array(middles) // len(values), num_bins - 1).astype(int)


def aurc(confidence, right):
    """Where no confidences are equal."""
    errors = np.cumsum(1 - right[np.argsort(-confidence, kind="stable")])
    return np.mean(errors / np.arange(1, len(right) + 1))


def smoothed_error(confidence, right, width, points=4_001):
    """Integral of |sum of residuals under a Gaussian reflected at 0 and 1| / N."""
    t = (np.arange(points) + 0.5) / points
    kernel = np.zeros((points, len(confidence)))
    for image in range(-4, 5):
        for centre in (2 * image + confidence, 2 * image - confidence):
            kernel += np.exp(-0.5 * ((t[:, None] - centre) / width) ** 2)
    kernel /= width * np.sqrt(2 * np.pi)
    return np.mean(np.abs(kernel @ (right - confidence))) / len(confidence)


def log_odds(logits):
    """Of the predicted class: tells apart what a confidence of 1.0 does not."""
    ordered = np.sort(logits, axis=1)
    return -np.log(np.sum(np.exp(ordered[:, :-1] - ordered[:, -1:]), axis=1))
