"""Neural collapse of one split of a checkpoint: NC1 to NC4, norms, CDNV.

    from nccli import collapse, hdf5
    collapse.analyze(hdf5.read_checkpoint("epoch-00010.h5"), split="train").nc1

What is behind the numbers: `collapse.classes` class by class, `collapse.gram` pair by pair,
`collapse.intervals` with what the samples leave open.
"""

from nccli.collapse.analysis import analyze, report
from nccli.collapse.geometry import simplex_etf
from nccli.collapse_report import CollapseReport

__all__ = ["CollapseReport", "analyze", "report", "simplex_etf"]
