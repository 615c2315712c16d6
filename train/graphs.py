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
from train.memory import is_out_of_memory
from train.steps import Step, Totals

WARM_STEPS = 3  # taken plainly before recording: buffers and algorithms are chosen in them

# One thread at a time asks the GPU for anything but replays: what another one allocates or frees
# while a graph is recorded would spoil the recording, and its own work.
TURN = threading.RLock()

MOST_THREADS = 16  # with two streams each: CUDA streams of PyTorch are 32, handed out in turn
_STREAMS = threading.local()


def stream_of_thread(use: str) -> torch.cuda.Stream:
    """Return a stream of this thread's own, the same one whenever it asks for that use.

    Were there new ones for each run, the 17th would share one with a run that still goes on, whose
    steps would be recorded into its graph.
    """
    if not hasattr(_STREAMS, use):
        setattr(_STREAMS, use, torch.cuda.Stream())  # type: ignore[no-untyped-call]
    stream: torch.cuda.Stream = getattr(_STREAMS, use)
    return stream


class GraphSteps:
    """Steps on a stream of their own, the first few plainly, the others as a graph.

    The same arithmetic as `EagerSteps`, on the same rows; only who launches it differs. The step
    must take no other tensors than those it was made with and the rows, cuts and totals it is
    given, and must wait for nothing.
    """

    def __init__(self, step: Step, generators: Callable[[], Sequence[torch.Generator]]) -> None:
        self._step = step
        self._generators = generators
        self._own_stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rate: float | None = None
        self._plan: Plan | None = None  # where the graph reads the rows and cuts of all its steps
        self._at: Tensor | None = None  # (1,) int64, the number of the step; the graph counts it
        self._totals: Totals | None = None

    def run(self, plan: Plan, rate: float) -> Totals:
        """Take every step of the plan at a learning rate; raises TrainingError."""
        with TURN:
            totals = self._start(plan)
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                done = self._ready(totals, plan.batches, rate)
        with torch.cuda.stream(self._stream):
            for _ in range(done, plan.batches):
                assert self._graph is not None
                self._graph.replay()
        self._stream.synchronize()  # here, where others may take their turn meanwhile
        return totals

    @property
    def _stream(self) -> torch.cuda.Stream:
        """That of the thread which takes the first step; then of this run."""
        if self._own_stream is None:
            self._own_stream = stream_of_thread("graph")
        return self._own_stream

    def _start(self, plan: Plan) -> Totals:
        """The places that the graph reads and writes, made once, set to an epoch's beginning."""
        if self._plan is None or self._plan.rows.shape != plan.rows.shape:
            self._graph = None
            self._plan = plan
            self._at = torch.zeros(1, dtype=torch.int64, device=plan.rows.device)
            self._totals = Totals.zero(plan.rows.device)
        assert self._totals is not None
        assert self._at is not None
        self._plan.rows.copy_(plan.rows)
        if self._plan.cuts is not None and plan.cuts is not None:
            self._plan.cuts.copy_(plan.cuts)
        self._at.zero_()
        self._totals.loss.zero_()
        self._totals.correct.zero_()
        return self._totals

    def _ready(self, totals: Totals, batches: int, rate: float) -> int:
        """Have a graph of the step at this rate; return how many steps that took."""
        if self._graph is not None and rate == self._rate:
            return 0
        self._graph = None
        early = min(WARM_STEPS, batches)
        for _ in range(early):
            self._next(totals)
        if early < batches:
            self._graph, self._rate = self._recorded(totals), rate
        return early

    def _next(self, totals: Totals) -> None:
        """Take the step whose number `at` says, and count it."""
        assert self._plan is not None
        assert self._at is not None
        rows = self._plan.rows.index_select(0, self._at)[0]
        cuts = None
        if self._plan.cuts is not None:
            cuts = self._plan.cuts.index_select(0, self._at)[0]
        self._at += 1
        self._step(rows, cuts, totals)

    def _recorded(self, totals: Totals) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators():
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._next(totals)
        except RuntimeError as told:
            error: BaseException = told
            while error.__context__ is not None:  # ending a spoilt recording fails, too
                error = error.__context__
            if is_out_of_memory(error):
                raise error from None
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise TrainingError(
                f"this network's step cannot be recorded as a CUDA graph ({reason})",
                remedy="give --no-cuda-graph",
            ) from None
        return graph
