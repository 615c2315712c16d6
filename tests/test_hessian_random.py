"""The measured Hessian over hundreds of random networks, against dense matrices in float64.

Half of them are worked on in single precision, as large files are; some in blocks of a few rows.
"""

from __future__ import annotations

import numpy as np
import pytest
import reference
from conftest import network

from nccli import hessian
from nccli.checkpoint import Checkpoint, Metadata
from nccli.hessian.curvature import complement_of_ones

CASES = 200
FOLDS = 8  # so that a failure names a handful of cases
LAMBDA_W, LAMBDA_H = 5e-3, 1e-3


def random_case(seed):
    """Options of `network` and more, from K = 2, d = 1 to confident and imbalanced ones."""
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 8))
    return {
        "num_classes": num_classes,
        "dim": int(rng.integers(1, 12)),
        "count": int(rng.integers(2 * num_classes + 2, 60)),
        "gain": float(10 ** rng.uniform(-1.5, 0.5)),
        "balanced": bool(rng.integers(0, 2)),
    }, {
        "single": bool(rng.integers(0, 2)),
        "with_bias": bool(rng.integers(0, 2)),
        "delta": float(rng.choice([0.0, 0.1, 0.5])),
        "block_bytes": int(rng.choice([1_000, 2**20])),
    }


class Truth:
    """Everything of one network from dense matrices."""

    def __init__(self, features, labels, weight, bias, *, with_bias, delta):
        ones = np.ones((len(features), 1))
        self.inputs = np.hstack([features, ones]) if with_bias else features
        self.weight_block = reference.weight_block(weight, features, bias, self.inputs)
        curvatures = reference.softmax_curvatures(
            reference.softmax_rows(features @ weight.T + bias)
        )
        self.feature_blocks = np.einsum("ka,nkl,lb->nab", weight, curvatures, weight)
        self.joint = reference.joint_hessian(
            weight, features, labels, delta, bias=bias, inputs=self.inputs
        )
        size = self.weight_block.shape[0]
        self.ridge = np.diag(
            np.r_[np.full(size, LAMBDA_W), np.full(len(self.joint) - size, LAMBDA_H)]
        )
        basis = np.kron(complement_of_ones(len(weight)), np.eye(self.inputs.shape[1]))
        self.perp = basis.T @ self.weight_block @ basis


@pytest.fixture(scope="module", params=range(FOLDS))
def measured(request):
    """(what it is, report, truth) of the cases of a fold."""
    return [measure(seed) for seed in range(request.param, CASES, FOLDS)]


def measure(seed):
    options, more = random_case(seed)
    features, labels, weight, bias = network(seed, **options)
    if more["single"]:
        features, weight, bias = (array.astype(np.float32) for array in (features, weight, bias))
    metadata = Metadata(label_smoothing=more["delta"], weight_decay=LAMBDA_W)
    point = Checkpoint.from_arrays(
        {"train": (features, labels)}, weight=weight, bias=bias, metadata=metadata
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nccli.collapse.centres.SMALL", 0 if more["single"] else 2**22)
        patch.setattr("nccli.hessian.layer.BLOCK_BYTES", more["block_bytes"])
        report = hessian.analyze(
            point, lambda_h=LAMBDA_H, top=3, with_bias=more["with_bias"], smallest=True,
            hierarchy=True, density=("w", "joint"), probes=2, steps=6, threads=1,
        )  # fmt: skip
    features, weight, bias = (array.astype(np.float64) for array in (features, weight, bias))
    truth = Truth(features, labels, weight, bias, with_bias=more["with_bias"], delta=more["delta"])
    return f"seed {seed}: {options} {more}", report, truth


def test_every_case_agrees_with_the_dense_matrices(measured):
    for case, report, truth in measured:
        top = np.linalg.eigvalsh(truth.weight_block)[::-1]
        joint = np.linalg.eigvalsh(truth.joint)[-1]
        ridged = np.linalg.eigvalsh(truth.joint + truth.ridge)[-1]
        assert report.status == "converged", case
        assert report.lambda_max_w == pytest.approx(top[0], rel=1e-9), case
        assert report.lambda_max_joint == pytest.approx(joint, rel=1e-8), case
        assert report.lambda_max_joint_regularised == pytest.approx(ridged, rel=1e-8), case
        largest = np.linalg.eigvalsh(truth.feature_blocks).max() / len(truth.inputs)
        # a handful of rows in single precision: no average takes their rounding away
        assert report.lambda_max_h == pytest.approx(largest, rel=1e-9), case
        assert report.trace_w == pytest.approx(np.trace(truth.weight_block), rel=2e-5), case
        trace_h = np.einsum("naa->", truth.feature_blocks) / len(truth.inputs)
        assert report.trace_h == pytest.approx(trace_h, rel=2e-5), case


def test_every_certificate_holds_the_truth(measured):
    for case, report, truth in measured:
        top = np.linalg.eigvalsh(truth.weight_block)[::-1]
        rounding = 1e-13 * top[0]  # of the dense reference itself
        for rank, one in enumerate(report.spectrum_w):
            assert one.low - rounding <= top[rank] <= one.high + rounding, (case, rank)
        blocks = np.linalg.eigvalsh(truth.feature_blocks) / len(truth.inputs)
        spectra = {
            "h": np.sort(blocks.ravel())[::-1],
            "joint": np.linalg.eigvalsh(truth.joint)[::-1],
            "joint_regularised": np.linalg.eigvalsh(truth.joint + truth.ridge)[::-1],
        }
        for name, values in spectra.items():
            found = getattr(report, f"spectrum_{name}")
            assert len(found) == 3, (case, name)
            for rank, one in enumerate(found):
                gap = np.abs(values - one.value).min()  # to the nearest: some lie very close
                assert gap <= (one.high - one.low) / 2 + 1e-13 * values[0], (case, name, rank)
                assert one.value == pytest.approx(values[rank], abs=1e-7 * values[0]), (case, name)
        smallest = max(np.linalg.eigvalsh(truth.perp)[0], 0.0)
        gap = abs(report.lambda_min_w - smallest)
        assert gap <= report.lambda_min_w_error + 1e-12 * top[0], case


def test_in_every_case_parts_add_up_and_densities_have_the_right_mass(measured):
    for case, report, truth in measured:
        parts = ("class", "cross_class", "within", "own")
        total = sum(getattr(report, f"trace_w_{part}") for part in parts)
        assert total == pytest.approx(np.trace(truth.weight_block), rel=1e-10), case
        for density in (report.density_w, report.density_joint):
            assert sum(one.share for one in density) == pytest.approx(1.0, abs=1e-9), case


def test_error_bars_of_densities_cover_the_dense_spectra(measured):
    missed = {"w": [], "joint": []}
    for _, report, truth in measured:
        for name, matrix in (("w", truth.perp), ("joint", truth.joint)):
            values = np.linalg.eigvalsh(matrix)
            for one in getattr(report, f"density_{name}"):
                above = one.low is None or values >= one.low
                share = np.mean(above & (values < one.high))
                missed[name].append(abs(one.share - share) > one.error + 1e-9)
    assert {name: np.mean(found) <= 0.05 for name, found in missed.items()} == {
        "w": True, "joint": True,
    }, {name: (np.mean(found), len(found)) for name, found in missed.items()}  # fmt: skip
