"""Small networks with uneven batches, and their curvature from torch.func, entry by entry.

Imported before nccli.network: two third-party imports warn once, and warnings are errors here.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev

with warnings.catch_warnings():  # linear_operator, which curvlinops needs, and torch.func.jvp
    warnings.filterwarnings("ignore", message=r"`torch\.jit\.script`", category=FutureWarning)
    torch.func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))
    from nccli.network import Problem

SIZES = (3, 18)  # uneven: a mean of batch means would be wrong


def data(*, dim=5, classes=3, seed=0, sizes=SIZES, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    count = sum(sizes)
    inputs = torch.randn(count, dim, generator=generator, dtype=torch.float64).to(dtype)
    labels = torch.randint(classes, (count,), generator=generator)
    return list(zip(torch.split(inputs, sizes), torch.split(labels, sizes), strict=True))


def seeded(make, *, gain=1.0, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make().to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(gain)
    return model.eval()


def mlp(**options):
    def make():
        layers = nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)
        return nn.Sequential(*layers)

    return seeded(make, **options)


def mlp_problem(*, delta=0.1, model=None, **options):
    return Problem(
        model=mlp() if model is None else model,
        loss_function=nn.CrossEntropyLoss(label_smoothing=delta),
        data=data(**options),
    )


def linear_problem():
    """A linear model: all of it is the last layer."""
    model = seeded(lambda: nn.Linear(5, 3))
    return Problem(model=model, loss_function=nn.CrossEntropyLoss(), data=data())


def problem():
    """What `nccli hessian --network tests/network/small_networks.py:problem` looks at."""
    return mlp_problem()


def dense(problem, kind):
    """The whole matrix over all parameters at once, all samples in one batch."""
    model = problem.model
    names = [name for name, _ in model.named_parameters()]
    shapes = [one.shape for one in model.parameters()]
    sizes = [one.numel() for one in model.parameters()]
    inputs = torch.cat([batch[0] for batch in problem.data])
    targets = torch.cat([batch[1] for batch in problem.data])

    def outputs(flat):
        parts = [
            part.reshape(shape)
            for part, shape in zip(torch.split(flat, sizes), shapes, strict=True)
        ]
        return functional_call(model, dict(zip(names, parts, strict=True)), (inputs,))

    flat = torch.cat([one.detach().reshape(-1) for one in model.parameters()])
    if kind == "hessian":
        return hessian(lambda one: problem.loss_function(outputs(one), targets))(flat).numpy()
    jacobian = jacrev(outputs)(flat).reshape(-1, len(flat))  # (N K, P)
    here = outputs(flat).detach()
    inner = hessian(lambda one: problem.loss_function(one.reshape(here.shape), targets))(
        here.reshape(-1)
    )
    return (jacobian.T @ inner @ jacobian).numpy()


def last_block(matrix, model):
    """Rows and columns of the last Linear layer: the last ones."""
    layer = [one for one in model.modules() if isinstance(one, nn.Linear)][-1]
    size = sum(one.numel() for one in layer.parameters())
    return np.asarray(matrix[-size:, -size:])
