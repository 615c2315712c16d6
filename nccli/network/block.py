"""The curvature in some of the parameters: products through curvlinops, a matrix where small.

B vectors at a time, M parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from curvlinops import GGNLinearOperator
from torch import nn

from nccli.errors import ContentError
from nccli.logits import Floats
from nccli.network.kernels import plain_kernels
from nccli.network.loading import call
from nccli.network.network import Network
from nccli.network.second import Hessian

Kind = Literal["ggn", "hessian"]
OPERATORS = {"ggn": GGNLinearOperator, "hessian": Hessian}
DENSE = 600  # parameters up to which all columns are cheaper than many probes; our own choice
TOGETHER = 16  # vectors a pass: vmap holds the activations of so many; 4 cost as much as 1.6
NUMBERS_TOGETHER = 2**20  # in such a group; both of our own choice
LARGE = 2**16  # parameters beyond which nccli.hessian.quadrature keeps its vectors in float32
LOPSIDED = 1e-3  # of |G v| for normal v: float32 leaves 1e-6 unless 1 - p is tiny
ROUNDOFF = {4: 1e-6, 8: 1e-13}  # of the largest eigenvalue, left in a product by its type


class Block:
    """A symmetric matrix that is known by its products: one pass over the data each."""

    def __init__(
        self,
        network: Network,
        parameters: tuple[nn.Parameter, ...],
        kind: Kind,
        *,
        dense_up_to: int = DENSE,
        watch: Callable[[int], None] = lambda _: None,
    ) -> None:
        operator = OPERATORS[kind](
            network.model,
            network.loss_function,
            list(parameters),
            network.batches,
            num_data=network.survey.n,
            check_deterministic=False,  # it prints on stdout; the survey has looked
        )
        self._operator = operator.to_scipy(np.float64)
        self._model = network.model
        self._watch = watch
        self._dense_up_to = dense_up_to
        self.size = int(operator.shape[0])
        self.roundoff = ROUNDOFF[8 if network.dtype is torch.float64 else 4]
        self.products = 0

    def product(self, vectors_BM: Floats) -> Floats:
        """Multiply each row; raises ContentError where the answer is not finite."""
        images_BM = np.empty(vectors_BM.shape, np.float64)
        start = 0
        for count in self.groups_of(len(vectors_BM)):
            rows = slice(start, start + count)
            start += count
            columns_MB = np.ascontiguousarray(vectors_BM[rows].T)
            with plain_kernels(self._model):
                found_MB = call("the curvature product", self._operator.matmat, columns_MB)
            images_BM[rows] = found_MB.T
            self.products += count
            self._watch(count)
        if not np.isfinite(images_BM).all():
            raise ContentError("a curvature product is not finite", remedy="try --double")
        return images_BM

    def check_symmetric(self, rng: np.random.Generator) -> None:
        """Raise ContentError where u.(G v) and v.(G u) differ: a derivative in torch is wrong.

        It has been, by a tenth: see nccli.network.second. So lopsided are the Hessians of a
        confident network in float32, too. The GGN needs no second derivative of a layer.
        """
        probes_BM = rng.standard_normal((3, self.size))
        images_BM = self.product(probes_BM)
        inner_BB = probes_BM @ images_BM.T
        scale = float(np.linalg.norm(images_BM, axis=1).max())
        lopsided = float(np.abs(inner_BB - inner_BB.T).max())
        if lopsided > LOPSIDED * scale:
            raise ContentError(
                f"the curvature products are not symmetric (by {lopsided / scale:.0%}): torch's "
                "second derivative of some layer is wrong, or float32 is short",
                remedy="--double mends roundoff; --curvature ggn needs no such derivative",
            )

    def groups_of(self, vectors: int) -> list[int]:
        """How many vectors to hold at once, group by group: one by one where each is large."""
        most = max(1, min(TOGETHER, NUMBERS_TOGETHER // self.size))
        return [min(most, vectors - start) for start in range(0, vectors, most)]

    @cached_property
    def matrix_MM(self) -> Floats | None:
        """The matrix itself where it is small, its two halves averaged; else None."""
        if self.size > self._dense_up_to:
            return None
        columns_MM = self.product(np.eye(self.size))
        return (columns_MM + columns_MM.T) / 2
