"""Calibration: can the confidence be trusted, and what does recalibration repair?

`predictions` streams logits, `kernel` and `statistics` make one pass over them, `bins`, `smooth`
and `scores` turn that into scores; `temperature` and `maps` recalibrate, `resample` and
`consistency` say what chance leaves open; `analysis` puts them together.
"""

from nccli.calibration.analysis import analyze, score
from nccli.calibration_report import CalibrationReport, ReliabilityBin, Scores

__all__ = ["CalibrationReport", "ReliabilityBin", "Scores", "analyze", "score"]
