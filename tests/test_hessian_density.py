"""Spectral densities and their error bars, against spectra that are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from conftest import checkpoint
from rich.console import Console

from nccli import hessian, read_checkpoint, sample_data_path
from nccli.hessian.density import density_of, exact_density
from nccli.hessian.quadrature import lanczos
from nccli.hessian_curves import density_series
from nccli.hessian_report import DensityBin
from nccli.hessian_table import against_theory

CASES = 40  # of each kind of spectrum
COVERED = 0.95
# by two standard errors of few probes, where an error has no other part: exact multiplicities
COVERED_BY_CHANCE_ALONE = 0.93
RUNS = ("digits-mlp-ce-s0", "digits-mlp-ls0.05-s0")

KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "power law": lambda rng, size: 10.0 ** -(
        rng.uniform(1, 9) * np.linspace(0, 1, size) ** rng.uniform(0.3, 2)
    ),
    "even in log": lambda rng, size: 10 ** rng.uniform(-8, 0, size),
    "one bulk": lambda rng, size: rng.uniform(0, 1, size),
    "clusters": lambda rng, size: (
        rng.choice(10 ** rng.uniform(-7, 0, 5), size)
        * (1 + rng.choice([0.2, 1e-2, 1e-6]) * rng.uniform(-1, 1, size))
    ),
    # powers of ten are edges of bins, and zeros have no logarithm
    "exact multiplicities": lambda rng, size: rng.choice(
        [0.0, 1.0, *10.0 ** rng.integers(-6, 1, 2), *10 ** rng.uniform(-5, 0, 2)], size
    ),
    "outliers above a bulk": lambda rng, size: np.r_[
        10 ** rng.uniform(-3, 0, 6), 10 ** rng.uniform(-6, -4) * rng.uniform(0.2, 1, size - 6)
    ],
    "both signs": lambda rng, size: rng.normal(size=size) * 10 ** rng.uniform(-5, 0, size),
}  # fmt: skip


def case(kind, seed):
    """Eigenvalues, and what a few probes of a few steps have seen of them."""
    rng = np.random.default_rng([seed, len(kind)])
    size = int(rng.integers(20, 400))
    values = np.sort(KINDS[kind](rng, size))
    probes, steps = int(rng.choice([1, 2, 4, 8])), int(rng.choice([5, 10, 20, 30]))
    start = rng.normal(size=(probes, size))
    return values, start, lanczos(lambda vectors: vectors * values, start, steps=steps)


def misses(density, values):
    """Of the share below, then of each bin: is the exact share outside of share -+ error?"""
    exact = np.diff(np.searchsorted(values, 10.0**density.edges), prepend=0) / len(values)
    shares = np.r_[density.below, density.shares]
    return np.abs(exact - shares) > np.r_[density.below_error, density.errors] + 1e-12, exact


@pytest.mark.parametrize("kind", KINDS)
def test_error_bars_cover_the_exact_shares_of_bins_and_below(kind):
    bins, full, below = [], [], []
    for seed in range(CASES):
        values, _, seen = case(kind, seed)
        density = density_of(seen, size=len(values), resolution=1e-13)
        missed, exact = misses(density, values)
        assert density.shares.sum() + density.below == pytest.approx(1, abs=1e-12)
        assert min(density.shares, default=0) >= 0
        below.append(missed[0])
        bins += list(missed[1:])
        full += list(missed[1:][exact[1:] > 0])  # an empty bin is easily right
    assert np.mean(bins) <= 1 - COVERED, len(bins)
    assert np.mean(below) <= 1 - COVERED
    assert np.mean(full) <= 1 - COVERED_BY_CHANCE_ALONE, len(full)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_each_probes_own_measure_without_exception(kind):
    points = 10.0 ** np.linspace(-8, 1, 40)
    for seed in range(CASES):
        values, start, seen = case(kind, seed)
        weights = np.square(start) / np.square(start).sum(axis=1, keepdims=True)
        for one, own in zip(seen, weights, strict=True):
            low, high = one.shares_below(points, rounding=1e-13 * values[-1])
            exact = np.r_[0.0, np.cumsum(own)][np.searchsorted(values, points)]
            assert np.all(low <= exact + 1e-9), (seed, (low - exact).max())
            assert np.all(exact <= high + 1e-9), (seed, (exact - high).max())


def test_bounds_meet_where_the_probe_has_seen_all():
    values = np.array([1e-6, 1e-3, 0.5, 1.0])
    start = np.random.default_rng(0).normal(size=(1, 4))
    (seen,) = lanczos(lambda vectors: vectors * values, start, steps=30)
    low, high = seen.shares_below(np.array([1e-7, 1e-5, 0.1, 0.7, 2.0]), rounding=1e-13)
    exact = np.r_[0.0, np.cumsum(np.square(start[0]))] / np.square(start).sum()
    np.testing.assert_allclose(low, exact, atol=1e-12)
    np.testing.assert_allclose(high, exact, atol=1e-12)


def test_an_eigenvalue_on_a_point_counts_on_either_side():
    values = np.array([0.1, 1.0, 1.0, 3.0])
    start = np.random.default_rng(0).normal(size=(1, 4))
    (seen,) = lanczos(lambda vectors: vectors * values, start, steps=30)
    low, high = seen.shares_below(np.array([1.0]), rounding=1e-13)
    own = np.square(start[0]) / np.square(start).sum()
    assert (low[0], high[0]) == (pytest.approx(own[0]), pytest.approx(own[:3].sum()))


def test_the_standard_error_is_the_spread_of_many_probes():
    values = np.r_[np.full(70, 1.5e-3), np.full(30, 0.15)]
    many = np.random.default_rng(0).normal(size=(4_000, 100))
    shares = np.square(many[:, 70:]).sum(axis=1) / np.square(many).sum(axis=1)
    seen = lanczos(lambda vectors: vectors * values, many[:1], steps=10)
    density = density_of(seen, size=100, resolution=1e-13)
    share, error = density.shares[-1], density.errors[-1]
    expected = 2 * shares.std() * np.sqrt(share * (1 - share) / (0.3 * 0.7))
    assert error == pytest.approx(expected, rel=0.03)
    four = density_of(
        lanczos(lambda vectors: vectors * values, many[:4], steps=10), size=100, resolution=1e-13
    )
    assert four.errors[-1] == pytest.approx(shares.std(), rel=0.1)


def test_more_steps_resolve_more_and_what_they_do_not_is_no_spike():
    values = 10 ** np.random.default_rng(0).uniform(-8, 0, 500)
    start = np.random.default_rng(1).normal(size=(4, 500))
    below = []
    for steps in (10, 30, 90, 270):
        seen = lanczos(lambda vectors: vectors * values, start, steps=steps)
        density = density_of(seen, size=500, resolution=1e-13)
        below.append(density.below)
        fifths = np.round(5 * np.diff(density.edges))
        assert (density.shares / fifths).max() < 0.05, steps  # it is 0.025 everywhere
    assert below == sorted(below, reverse=True)
    assert below[1] > 0.7
    assert below[-1] < 0.4


def test_a_bulk_that_no_edge_divides_is_one_wide_bin():
    values = np.r_[np.linspace(0.02, 0.5, 300), np.full(300, 3.0)]
    start = np.random.default_rng(1).normal(size=(4, 600))
    seen = lanczos(lambda vectors: vectors * values, start, steps=3)
    density = density_of(seen, size=600, resolution=1e-13)
    missed, exact = misses(density, np.sort(values))
    assert not missed.any()
    assert np.diff(density.edges).max() > 0.5
    assert exact[0] == pytest.approx(density.below, abs=0.02)


def test_known_eigenvalues_are_counted_without_errors():
    values = np.r_[-1e-17, 0.0, 1e-17, 1.5e-5, 0.15, 0.15, 0.16, 1.5]
    density = exact_density(values, rounding=1e-15)
    assert (density.below, density.below_error) == (3 / 8, 0.0)
    assert (density.edges[0], density.edges[-1]) == (-5.0, pytest.approx(0.2))
    assert not density.errors.any()
    full = {
        round(float(density.edges[place]), 1): share
        for place, share in enumerate(density.shares)
        if share
    }
    assert full == {-5.0: 1 / 8, -1.0: 2 / 8, -0.8: 1 / 8, 0.0: 1 / 8}


def test_eigenvalues_that_all_are_zero_are_all_below():
    assert exact_density(np.zeros(5), rounding=0.0).below == 1.0


@pytest.fixture(scope="module", params=RUNS)
def sample(request):
    """A run of the sample data, and its exact report."""
    path = sample_data_path("runs") / request.param / "checkpoints" / "epoch-00200.h5"
    one = read_checkpoint(path)
    return one, hessian.analyze(one, exact=True, density=("w",), threads=1)


def shares_within(bins, values):
    """Exact shares of the bins."""
    lows = [-np.inf if one.low is None else one.low for one in bins]
    return [
        np.mean((values >= low) & (values < one.high)) for low, one in zip(lows, bins, strict=True)
    ]


def test_error_bars_cover_the_spectra_of_the_sample_runs(sample):
    one, exact = sample
    values = np.array([found.value for found in exact.spectrum_w])
    missed = []
    for seed in range(10):
        bins = hessian.analyze(one, density=("w",), seed=seed, threads=1).density_w
        for found, share in zip(bins, shares_within(bins, values), strict=True):
            missed.append(abs(found.share - share) > found.error)
        # thirty steps do not reach the bulk: 9 in 10 eigenvalues are told as below, in no bin
        assert bins[0].low is None
        assert bins[0].share == pytest.approx(0.9, abs=0.05)
        assert max(found.share for found in bins[1:]) < 0.1
    assert np.mean(missed) <= 1 - COVERED


def test_with_exact_the_density_is_the_histogram(sample):
    _, exact = sample
    values = np.array([found.value for found in exact.spectrum_w])
    bins = exact.density_w
    assert [found.share for found in bins] == pytest.approx(shares_within(bins, values), abs=1e-12)
    assert {found.error for found in bins} == {0.0}
    decade = [found.share for found in bins if found.low and 0.99e-7 < found.low < 0.99e-6]
    assert sum(decade) == pytest.approx(np.mean((values >= 1e-7) & (values < 1e-6)))


def report_with(*bins):
    one = hessian.analyze(checkpoint(0), threads=1)
    return dataclasses.replace(one, density_w=bins)


def test_a_wide_bin_is_level_in_charts_and_the_share_below_is_in_the_label():
    found = report_with(
        DensityBin(low=None, high=1e-4, share=0.5, error=0.01),
        DensityBin(low=1e-4, high=1e-2, share=0.4, error=0.02),
        DensityBin(low=1e-2, high=10**-1.8, share=0.1, error=0.0),
    )
    measured = density_series([found], ["CE"], "w")[0]
    assert measured.label == "CE, 50 % < 1e-4"
    assert list(measured.y) == pytest.approx([0.04] * 10 + [0.1])
    assert list(measured.x) == pytest.approx(10 ** np.linspace(-3.9, -1.9, 11))


def test_a_wide_bin_has_a_row_of_its_decades():
    found = report_with(
        DensityBin(low=None, high=10**-4.6, share=0.3, error=0.01),
        DensityBin(low=10**-4.6, high=10**-4.4, share=0.1, error=0.01),
        DensityBin(low=10**-4.4, high=10**-3.2, share=0.3, error=0.02),
        DensityBin(low=10**-3.2, high=1e-3, share=0.1, error=0.02),
        DensityBin(low=1e-1, high=10**-0.8, share=0.2, error=0.0),
    )
    console = Console(width=100, color_system=None, force_terminal=False, markup=False)
    with console.capture() as captured:
        console.print(against_theory(found))
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    start = lines.index("share of the eigenvalues of each block")
    assert lines[start + 2 : start + 5] == [
        "not resolved, zero or negative 30 % < 2.5e-5",
        "1e-5 to 1e-3 50 %",
        "1e-1 to 1e0 20 %",
    ]
