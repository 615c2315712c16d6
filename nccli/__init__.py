"""nccli: neural collapse, last-layer conditioning and calibration of saved checkpoints."""

__version__ = "0.1.0"
