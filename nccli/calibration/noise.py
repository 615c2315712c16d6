"""What sampling noise does to a sum of absolute gaps. R resamples, B bins."""

from __future__ import annotations

import functools
import math

import numpy as np

from nccli.logits import Floats


def noise_of(gaps_RB: Floats, counts_RB: Floats) -> Floats:
    """Each bin's gap less the share of the data's own (first) that so many samples have: (R, B)."""
    shares_B = gaps_RB[0] / np.maximum(counts_RB[0], 1.0)
    noise_RB: Floats = gaps_RB[1:] - counts_RB[1:] * shares_B
    return noise_RB


def unfolded_bias(gaps_B: Floats, noise_RB: Floats) -> float:
    """By how much the sum of |gap| exceeds that of the gaps of which noise would make it."""
    deviation_B = np.sqrt(np.mean(np.square(noise_RB), axis=0))
    sizes_B = np.abs(gaps_B)
    sizes, gaps = _unfolding()
    near = (deviation_B > 0) & (sizes_B < sizes[-1] * deviation_B)  # far off, noise adds nothing
    found_B = sizes_B.copy()
    found_B[near] = deviation_B[near] * np.interp(sizes_B[near] / deviation_B[near], sizes, gaps)
    return float((sizes_B - found_B).sum())


@functools.cache
def _unfolding() -> tuple[Floats, Floats]:
    """Mean sizes |x + Z|, Z standard normal, and their x; below that of noise alone x is 0."""
    x = np.linspace(0.0, 8.0, 1601)
    erf = np.array([math.erf(value / math.sqrt(2)) for value in x])
    return x * erf + math.sqrt(2 / math.pi) * np.exp(-0.5 * x**2), x
