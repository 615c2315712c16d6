"""The steps of an epoch as replays of one CUDA graph: no launch by launch, no wait for the host.

At batch 128 a network for small images is bound by the time that Python and the driver take to
launch its kernels. Recorded once as a graph, a step is one launch. The graph fixes the learning
rate, so it is recorded anew at a milestone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nccli.errors import TrainingError
from train.feed import Plan
from train.steps import Step, Totals

WARM_STEPS = 3  # taken plainly before recording: buffers and algorithms are chosen in them

_RECORDING = threading.Lock()  # one recording at a time in a process


class GraphSteps:
    """Steps on a stream of their own, the first few plainly, the others as a graph.

    The same arithmetic as `EagerSteps`, on the same rows; only who launches it differs. The step
    must take no other tensors than those it was made with and the rows, cuts and totals it is
    given, and must wait for nothing.
    """

    def __init__(self, step: Step, generators: Callable[[], Sequence[torch.Generator]]) -> None:
        self._step = step
        self._generators = generators
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rate: float | None = None
        self._rows: Tensor | None = None
        self._cuts: Tensor | None = None
        self._totals: Totals | None = None

    def run(self, plan: Plan, rate: float) -> Totals:
        """Take every step of the plan at a learning rate; raises TrainingError."""
        totals = self._start(plan)
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            at = 0
            if self._graph is None or rate != self._rate:
                self._graph, at = None, min(WARM_STEPS, plan.batches)
                for early in range(at):
                    self._step(*self._given(plan, early), totals)
                if at < plan.batches:
                    self._graph, self._rate = self._recorded(totals), rate
            for later in range(at, plan.batches):
                self._given(plan, later)
                assert self._graph is not None
                self._graph.replay()
        torch.cuda.current_stream().wait_stream(self._stream)
        return totals

    def _start(self, plan: Plan) -> Totals:
        """The places that the graph reads and writes, made once, and the totals set to zero."""
        if self._totals is None or self._rows is None or self._rows.shape != plan.rows[0].shape:
            self._graph = None
            self._rows = torch.empty_like(plan.rows[0])
            self._cuts = None if plan.cuts is None else torch.empty_like(plan.cuts[0])
            self._totals = Totals.zero(plan.rows.device)
        self._totals.loss.zero_()
        self._totals.correct.zero_()
        return self._totals

    def _given(self, plan: Plan, at: int) -> tuple[Tensor, Tensor | None]:
        """Copy the rows and cuts of a step to where the graph reads them."""
        assert self._rows is not None
        self._rows.copy_(plan.rows[at])
        if self._cuts is not None and plan.cuts is not None:
            self._cuts.copy_(plan.cuts[at])
        return self._rows, self._cuts

    def _recorded(self, totals: Totals) -> torch.cuda.CUDAGraph:
        assert self._rows is not None
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators():
            graph.register_generator_state(generator)
        try:
            with (
                _RECORDING,
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                self._step(self._rows, self._cuts, totals)
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise TrainingError(
                f"this network's step cannot be recorded as a CUDA graph ({reason})",
                remedy="leave out --cuda-graph",
            ) from None
        return graph
