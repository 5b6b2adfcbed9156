"""Continuous batching: every step decodes all running requests and brings newcomers in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Ordered

from parley_worker.core import FinishReason
from parley_worker.scheduler.request import Output, Request, Sequence
from parley_worker.scheduler.step import Clear, Move, Segment, Step


class Scheduler:
    """Decides admission, batches and ends. Requests are admitted, and their prompts computed, in order of arrival.

    The running sequences always fill the slots from 0 up: when one leaves, the last one moves into its slot. So a
    step reads the cache as it lies, without gathering.
    """

    def __init__(self, slots: int, window: int, step_tokens: int) -> None:
        self._slots, self._window, self._step_tokens = slots, window, step_tokens
        self._waiting: deque[Request] = deque()
        self._running: list[Sequence] = []
        self._edits: list[Move | Clear] = []
        self._arrivals = 0

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._running

    def add(self, request: Request) -> None:
        """Queue a request, which must leave room in the window for one token at least."""
        if not 0 < len(request.token_ids) < self._window:
            raise ValueError(f"{len(request.token_ids)} tokens in a window of {self._window}")
        self._waiting.append(request)

    def abort(self, request_id: str) -> None:
        """Forget a request, wherever it is. An unknown id is one that is already over."""
        self._waiting = deque(request for request in self._waiting if request.id != request_id)
        for slot, sequence in enumerate(self._running):
            if sequence.request.id == request_id:
                self._release(slot)
                return

    def schedule(self) -> Step:
        """The next step: one token of each decoding sequence, then prompts with what is left of the step's tokens."""
        self._admit()
        edits, self._edits = tuple(self._edits), []
        placed = [(sequence, slot) for slot, sequence in enumerate(self._running)]
        decoding = [Segment(sequence, slot, 1) for sequence, slot in placed if sequence.pending == 1]
        prompts = sorted((item for item in placed if item[0].pending > 1), key=lambda item: item[0].arrival)
        segments, budget = decoding, max(1, self._step_tokens - len(decoding))
        for sequence, slot in prompts:
            length = min(sequence.pending, budget)
            budget -= length
            if length:
                segments.append(Segment(sequence, slot, length))
        segments.sort(key=lambda segment: segment.length > 1)
        return Step(edits, tuple(segments))

    def update(self, step: Step, drawn: Ordered[int | None]) -> list[Output]:
        """Take in the tokens of `step.drawing`, in that order; None is a token that could not be drawn."""
        tokens = dict(zip((segment.sequence.request.id for segment in step.drawing), drawn, strict=True))
        outputs = []
        for segment in step.segments:
            sequence, draws = segment.sequence, segment.draws
            sequence.computed += segment.length
            if draws:
                outputs.append(self._append(sequence, tokens[sequence.request.id]))
        for output in outputs:
            if output.last:
                self.abort(output.id)
        return outputs

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._slots:
            self._arrivals += 1
            self._running.append(Sequence(self._waiting.popleft(), self._arrivals))

    def _append(self, sequence: Sequence, token: int | None) -> Output:
        request = sequence.request
        sequence.proven = token is not None
        if token is None:
            return Output(request.id, None, error="the model computed scores that are not finite")
        sequence.tokens.append(token)
        if token in request.stop_ids:
            return Output(request.id, token, FinishReason.STOP)
        full = sequence.answered >= request.max_tokens or len(sequence.tokens) >= self._window
        return Output(request.id, token, FinishReason.LENGTH if full else None)

    def _release(self, slot: int) -> None:
        left, last = self._running[slot], self._running.pop()
        self._clear_unproven(slot, left)
        if slot < len(self._running):
            self._running[slot] = last
            self._edits.append(Move(len(self._running), slot, last.computed))
            self._clear_unproven(len(self._running), last)

    def _clear_unproven(self, slot: int, sequence: Sequence) -> None:
        # Finite scores prove the whole cache of a sequence finite, as they depend on all of it.
        if not sequence.proven:
            self._edits.append(Clear(slot, sequence.computed))
