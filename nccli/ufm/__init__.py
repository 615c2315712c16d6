"""The unconstrained feature model: minimiser, spectra and condition numbers, in closed form.

K classes of n samples each, N = nK, features h_i in R^d and the classifier W both free:

    L(W, H) = (1/N) sum_i CE(W h_i, y_i^delta) + lambda_w/2 ||W||^2 + lambda_h/2 ||H||^2

Source: arXiv 2402.03979; the condition numbers and the joint spectrum are nccli's own, checked
against dense Hessians in the tests. Every function costs O(1) in n, K and d.
"""

from nccli.ufm.problem import (
    LARGEST_SIZE,
    SMALLEST_PENALTY,
    Minimiser,
    Problem,
    minimiser,
)
from nccli.ufm.report import (
    Curvature,
    UFMReport,
    analyze,
    curvature,
    kappa_joint,
    kappa_loss,
    kappa_regularised,
)
from nccli.ufm.spectrum import (
    Eigenvalue,
    feature_block_spectrum,
    joint_spectrum,
    weight_block_spectrum,
)

__all__ = [
    "LARGEST_SIZE",
    "SMALLEST_PENALTY",
    "Curvature",
    "Eigenvalue",
    "Minimiser",
    "Problem",
    "UFMReport",
    "analyze",
    "curvature",
    "feature_block_spectrum",
    "joint_spectrum",
    "kappa_joint",
    "kappa_loss",
    "kappa_regularised",
    "minimiser",
    "weight_block_spectrum",
]
