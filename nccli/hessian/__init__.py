"""The last-layer Hessian of a saved checkpoint, measured, certified, and beside its theory.

`layer` streams the rows, `weight_block`, `feature_block` and `joint` are the three Hessians,
`davidson` finds their largest eigenvalues, with many classes along the few directions of
`compressed`, `smallest` the smallest with `inverse` for a preconditioner, `density` the whole
spectrum at random; `majorant` proves what no sample of the H block exceeds; `analysis` puts them
together.
"""

from nccli.hessian.analysis import analyze
from nccli.hessian_report import HessianReport

__all__ = ["HessianReport", "analyze"]
