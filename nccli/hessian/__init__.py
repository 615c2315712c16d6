"""The last-layer Hessian of a saved checkpoint, measured, certified, and beside its theory.

`layer` streams the rows, `weight_block`, `feature_block` and `joint` are the three Hessians,
`davidson` finds their largest eigenvalues, with many classes along the few directions of
`compressed`, `smallest` the smallest, `density` the whole spectrum at random; `analysis` puts
them together.
"""

from nccli.hessian.analysis import analyze
from nccli.hessian_report import HessianReport

__all__ = ["HessianReport", "analyze"]
