"""The problem of the unconstrained feature model, and its global minimum."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nccli.errors import UsageError

LARGEST_SIZE = 10**15  # beyond it K n is no longer exact in a double
SMALLEST_PENALTY = 1e-100  # its square is still a normal double


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A balanced unconstrained feature model; raises UsageError where the theory is silent."""

    num_classes: int  # K >= 2
    per_class: int  # n >= 1
    dim: int  # d >= K - 1
    lambda_w: float  # > 0
    lambda_h: float  # > 0
    label_smoothing: float  # delta in [0, 1)

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise UsageError(f"K must be at least 2, got {self.num_classes}")
        if self.per_class < 1:
            raise UsageError(f"n must be at least 1, got {self.per_class}")
        if max(self.num_classes, self.per_class, self.dim) > LARGEST_SIZE:
            raise UsageError(f"K, n and d must not be above {LARGEST_SIZE:.0e}")
        if self.dim < self.num_classes - 1:
            raise UsageError(
                f"the closed form needs d >= K - 1 = {self.num_classes - 1}, got d = {self.dim}",
                remedy="a simplex ETF of K vectors does not fit into fewer dimensions",
            )
        for name, value in (("lambda_w", self.lambda_w), ("lambda_h", self.lambda_h)):
            if not SMALLEST_PENALTY <= value <= 1 / SMALLEST_PENALTY:
                raise UsageError(
                    f"{name} must be positive, got {value}",
                    remedy="give 1e-100 to 1e100: without penalties the minimum is at infinity",
                )
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"label smoothing must lie in [0, 1), got {self.label_smoothing}")

    @property
    def lambda_z(self) -> float:
        """sqrt(lambda_w lambda_h)."""
        return math.sqrt(self.lambda_w) * math.sqrt(self.lambda_h)

    @property
    def shrinkage(self) -> float:
        """s = delta + K sqrt(n) lambda_z; at s >= 1 everything collapses to zero."""
        return self.label_smoothing + self.pull

    @property
    def pull(self) -> float:
        """z = K sqrt(n) lambda_z: how strongly the penalties pull towards zero."""
        return self.num_classes * math.sqrt(self.per_class) * self.lambda_z

    @property
    def margin(self) -> float:
        """1 - s, which is p_t - p_n; 0 or less is total collapse."""
        # not 1 - shrinkage: near s = 1 that keeps only the digits that s lost
        return (1 - self.label_smoothing) - self.pull


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimiser:
    """W = alpha C Q^T, h_i = beta Q c_{y_i}; logits a c_{y_i}; a = 0 at total collapse."""

    logit_scale: float  # a
    alpha: float
    beta: float
    p_target: float  # p_t, probability of the target class
    p_other: float  # p_n, of each other class
    dominance: float  # D = p_t - p_n
    mixing: float  # D (1 - D)
    loss: float  # the data term of L, in nats
    penalty: float  # the two quadratic terms of L


def minimiser(problem: Problem) -> Minimiser:
    """Return the global minimum (THEORY: s = delta + K sqrt(n) lambda_z, a = log(K/s - K + 1))."""
    classes, shrinkage, margin = problem.num_classes, problem.shrinkage, problem.margin
    if margin <= 0:
        uniform = 1 / classes
        return Minimiser(
            logit_scale=0.0,
            alpha=0.0,
            beta=0.0,
            p_target=uniform,
            p_other=uniform,
            dominance=0.0,
            mixing=0.0,
            loss=math.log(classes),
            penalty=0.0,
        )
    # log1p keeps a right to full precision when s is close to one.
    scale = math.log1p(classes * margin / shrinkage)
    alpha_squared = scale * math.sqrt(problem.lambda_h * problem.per_class / problem.lambda_w)
    beta_squared = scale * math.sqrt(problem.lambda_w / (problem.per_class * problem.lambda_h))
    p_other = shrinkage / classes
    p_target = margin + p_other  # 1 - (K-1) p_n would cancel
    others = (classes - 1) * p_other / p_target
    return Minimiser(
        logit_scale=scale,
        alpha=math.sqrt(alpha_squared),
        beta=math.sqrt(beta_squared),
        p_target=p_target,
        p_other=p_other,
        dominance=margin,
        mixing=margin * shrinkage,
        # -log p_t + delta (1 - 1/K) a, with 1/p_t = 1 + (K-1) p_n/p_t: nothing cancels
        loss=math.log1p(others) + problem.label_smoothing * (1 - 1 / classes) * scale,
        penalty=(classes - 1) * math.sqrt(problem.per_class) * problem.lambda_z * scale,
    )
