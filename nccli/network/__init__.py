"""Curvature of a whole network that the user can load: the `network` extra (torch, curvlinops).

from nccli.network import Problem, analyze
report = analyze(Problem(model=model, loss_function=nn.CrossEntropyLoss(), data=loader))
"""

from nccli.network.curvature import analyze
from nccli.network.problem import Problem
from nccli.network.report import NetworkReport

__all__ = ["NetworkReport", "Problem", "analyze"]
