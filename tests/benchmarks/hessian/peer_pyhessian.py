"""PyHessian's published algorithms once more (Yao et al. 2020), for a torch of today.

Its registry release fails on torch >= 2 (torch.eig is gone), so they are stated anew from its
paper and its defaults: power iteration, deflated for further eigenvalues, that stops when two
Rayleigh quotients differ by less than a thousandth; Hutchinson's trace, which stops when its mean
does; Lanczos quadrature with vectors orthogonalised against all before them. Every product with
the Hessian is a double backward pass over all batches.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peers import Problem, problem
from torch import Tensor

TOLERANCE = 1e-3  # its default
MAX_ITERATIONS = 100  # its default


def eigenvalues(path: Path, count: int, *, batch: int) -> list[float]:
    """The largest eigenvalues, one after the other, by power iteration."""
    torch.manual_seed(0)
    task, values, vectors = problem(path, batch), [], []
    for _ in range(count):
        value, vector = _power_iteration(task, vectors)
        values.append(value)
        vectors.append(vector)
    return values


def trace(path: Path, *, batch: int) -> list[float]:
    """The mean of as many Rademacher probes as its stopping rule takes."""
    torch.manual_seed(0)
    task, samples, mean = problem(path, batch), [], 0.0
    for _ in range(MAX_ITERATIONS):
        probe = _rademacher(task.weight)
        samples.append(_dot(_product(task, probe), probe))
        before, mean = mean, sum(samples) / len(samples)
        if _settled(mean, before):
            break
    return [mean]


def density(path: Path, steps: int, *, batch: int) -> list[float]:
    """Lanczos quadrature of one probe: the trace that it implies."""
    torch.manual_seed(0)
    task = problem(path, batch)
    vector = _unit(_rademacher(task.weight))
    basis, diagonal, beside = [vector], [], []
    for step in range(steps):
        image = _product(task, vector)
        diagonal.append(_dot(image, vector))
        image = image - diagonal[-1] * vector
        if step:
            image = image - beside[-1] * basis[-2]
        if step + 1 < steps:
            beside.append(float(image.norm()))
            vector = _orthogonal(image, basis)
            basis.append(vector)
    nodes, weights = _quadrature(diagonal, beside)
    return [task.weight.numel() * float(nodes @ weights)]


def _power_iteration(task: Problem, found: list[Tensor]) -> tuple[float, Tensor]:
    vector, value = _unit(torch.randn_like(task.weight)), 0.0
    for step in range(MAX_ITERATIONS):
        vector = _orthogonal(vector, found)
        image = _product(task, vector)
        before, value = value, _dot(image, vector)
        vector = _unit(image)
        if step and _settled(value, before):
            break
    return value, vector


def _product(task: Problem, vector: Tensor) -> Tensor:
    """The Hessian times a vector, the mean over all rows."""
    total, rows = torch.zeros_like(vector), 0
    for inputs, labels in task.batches:
        loss = task.loss(task.model(inputs), labels)
        (gradient,) = torch.autograd.grad(loss, task.weight, create_graph=True)
        (image,) = torch.autograd.grad(gradient, task.weight, grad_outputs=vector)
        total += image * len(inputs)
        rows += len(inputs)
    return total / rows


def _quadrature(diagonal: list[float], beside: list[float]) -> tuple[Tensor, Tensor]:
    outer = torch.tensor(beside)
    matrix = torch.diag(torch.tensor(diagonal)) + torch.diag(outer, 1) + torch.diag(outer, -1)
    values, vectors = torch.linalg.eigh(matrix)
    return values, vectors[0].square()


def _settled(value: float, before: float) -> bool:
    return abs(value - before) < TOLERANCE * (abs(before) + 1e-6)


def _rademacher(like: Tensor) -> Tensor:
    return 2.0 * torch.randint_like(like, high=2).detach() - 1.0


def _orthogonal(vector: Tensor, others: list[Tensor]) -> Tensor:
    for other in others:
        vector = vector - _dot(vector, other) * other
    return _unit(vector)


def _unit(vector: Tensor) -> Tensor:
    return (vector / (vector.norm() + 1e-6)).detach()


def _dot(left: Tensor, right: Tensor) -> float:
    return float((left * right).sum())
