"""Recorders for trainers of others; each module imports its trainer, and is imported by its users.

from nccli.callbacks.lightning import Recorder
from nccli.callbacks.huggingface import Recorder
"""
