"""Continuous batching over paged keys and values: who shares a step, and when an answer ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Ordered
from itertools import count

from parley_worker.core import FinishReason
from parley_worker.kv.cache import PagedCache, blocks_for
from parley_worker.kv.pool import IntegrityError
from parley_worker.scheduler.deadlines import Deadlines
from parley_worker.scheduler.planner import Planner
from parley_worker.scheduler.proposer import Proposer
from parley_worker.scheduler.request import Drawn, Fault, Output, Request
from parley_worker.scheduler.residents import Residents
from parley_worker.scheduler.sequence import Sequence
from parley_worker.scheduler.stats import StepStats
from parley_worker.scheduler.step import Segment, Step


class Scheduler:
    """Turns requests into steps and drawn tokens into outputs.

    blocks: of the KV cache. capacity: sequences that run at once. window: tokens of a sequence at most. step_tokens:
    rows of a step, at most; only where it leaves prompts less than a block, they get one beside all that decode.
    share: whether equal prefixes share their keys and values, which must then depend on the tokens up to their own
    alone. `schedule` and `update` take turns; with `lookahead` one more step may be scheduled before the update of the
    step before. rounds: of a step, at most. stats: of the step that was updated last.
    """

    def __init__(
        self,
        blocks: int,
        capacity: int,
        window: int,
        step_tokens: int,
        *,
        lookahead: bool = False,
        share: bool = True,
        proposer: Proposer | None = None,
        rounds: int = 1,
    ) -> None:
        if min(blocks, capacity, window, step_tokens, rounds) < 1:
            raise ValueError("blocks, capacity, window, step_tokens and rounds are 1 at least")
        if lookahead and (proposer is not None or rounds > 1):
            raise ValueError("with lookahead a token is not known yet: no drafts can follow it, and no rounds")
        self._window, self._depth, self._proposer = window, 2 if lookahead else 1, proposer
        self._cache = PagedCache(blocks, capacity, window, share=share)
        self._residents = Residents(self._cache, capacity, quantum=step_tokens)
        self._planner = Planner(self._residents, self._cache, step_tokens, proposer, rounds)
        self._deadlines = Deadlines()
        self._live: dict[str, Sequence] = {}
        self._flight: deque[Step] = deque()
        self._expired: list[Output] = []
        self._arrivals = count()
        self.stats: StepStats | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, and nothing to tell."""
        return not (self._live or self._flight or self._expired)

    @property
    def needs_tokens(self) -> bool:
        """Whether a sequence has to stay out of the next step until `update` tells its token in flight.

        Its penalties depend on the token. Where that is so, look-ahead is paid for with a pause of this sequence.
        """
        running = self._residents.running
        return any(sequence.drawing and sequence.request.sampling.has_penalties for sequence in running)

    def add(self, request: Request) -> None:
        """Queue a request. ValueError: its id is in use, it has nothing to do, or it can never fit."""
        length = len(request.token_ids)
        if request.id in self._live:
            raise ValueError(f"request {request.id!r} is there already")
        if not 0 < length < self._window:
            raise ValueError(f"{length} tokens in a window of {self._window}")
        limit = min(self._window, length - request.answered + request.max_tokens)
        if limit <= length:
            raise ValueError(f"{request.answered} tokens are answered of {request.max_tokens}: there is nothing to do")
        if blocks_for(limit - 1) > self._cache.pool.size:
            raise ValueError(f"{limit} tokens do not fit in a cache of {self._cache.pool.size} blocks")
        sequence = Sequence(request, next(self._arrivals), limit)
        self._deadlines.add(sequence, len(self._live))
        self._live[request.id] = sequence
        self._residents.waiting.add(sequence)

    def abort(self, request_id: str) -> None:
        """Forget a request, wherever it is. An unknown id is one that is already over."""
        sequence = self._live.get(request_id)
        if sequence is not None:
            self._end(sequence)
        self._expired = [output for output in self._expired if output.id != request_id]

    def schedule(self, now: float) -> Step:
        """The next step at the time `now` of time.monotonic(). It is empty where nobody can go on.

        Requests past their deadline are over; the next `update` tells so.
        """
        if len(self._flight) >= self._depth:
            raise RuntimeError("a step before is to be updated first")
        for sequence in self._deadlines.expired(now):
            self._end(sequence)
            self._expired.append(Output(sequence.request.id, None, error=Fault.DEADLINE))
        step = self._planner.plan(self._flight[-1].names if self._flight else frozenset())
        self._flight.append(step)
        return step

    def update(self, step: Step, drawn: Ordered[Drawn | None]) -> list[Output]:
        """Take in what was drawn for `step.draws`; None: the scores were not finite. The oldest step is first.

        Of a step in rounds the draws come round by round, as many rounds as there were. What was computed for requests
        that are over by now is dropped.
        """
        count = step.draw_count
        done = len(drawn) // count if count else 1
        known = bool(self._flight) and self._flight[0] is step
        if not known or not 0 < done <= step.rounds or len(drawn) != done * count:
            raise ValueError("not the draws of the step that is next")
        self._flight.popleft()
        outputs, self._expired = self._expired, []
        begin = accepted = 0
        for segment in step.segments:
            end = begin + segment.draws
            if not segment.sequence.over:
                made = self._settle(segment, drawn[begin::count] if done > 1 else drawn[begin:end], step.rounds)
                accepted += len(made) - 1 if segment.drafts else 0
                outputs += made
            begin = end
        self.stats = self._count(step, done, accepted)
        return outputs

    def check_integrity(self) -> None:
        """Raise IntegrityError if the books of blocks or of sequences do not add up."""
        running, waiting = self._residents.running, len(self._residents.waiting)
        if len(running) + waiting != len(self._live):
            raise IntegrityError(f"{len(running)} running and {waiting} waiting of {len(self._live)} sequences")
        if len({sequence.row for sequence in running}) != len(running):
            raise IntegrityError("two sequences share a row of the block tables")
        self._cache.check_integrity(running)

    def _settle(self, segment: Segment, drawn: Ordered[Drawn | None], rounds: int) -> list[Output]:
        sequence, start, length, draws, _, drafts, _, life = segment
        length, draws = length + rounds - 1, draws + rounds - 1
        sequence.drawing -= draws
        if drafts:
            drawn = _without_misses(drafts, drawn)
            self._observe(len(drafts), len(drawn) - 1)
        outputs = _append(sequence, drawn)
        last = outputs[-1] if outputs and outputs[-1].last else None
        if life == sequence.recomputed:
            missed = draws - len(drawn)
            sequence.computed -= missed
            self._cache.publish(sequence, min(start + length - missed, len(sequence.tokens)))
        self._residents.waiting.charge(sequence.request.user, len(outputs))
        if last is not None:
            self._end(sequence, bar=last.error is not None)
        return outputs

    def _observe(self, proposed: int, accepted: int) -> None:
        if self._proposer is not None:
            self._proposer.observe(proposed, accepted)

    def _end(self, sequence: Sequence, *, bar: bool = False) -> None:
        sequence.over = True
        del self._live[sequence.request.id]
        self._residents.remove(sequence, bar=bar)

    def _count(self, step: Step, rounds: int, accepted: int) -> StepStats:
        pool = self._cache.pool
        return StepStats(
            rounds=rounds,
            rows=step.rows * rounds,
            decode_rows=step.decode_rows * rounds,
            prompt_rows=step.rows - step.decode_rows,
            running=len(self._residents.running),
            waiting=len(self._residents.waiting),
            blocks_used=pool.size - pool.available,
            blocks_cached=pool.kept,
            blocks_total=pool.size,
            prefix_hits=step.prefix_hits,
            preemptions=step.preemptions,
            drafts_proposed=step.proposed,
            drafts_accepted=accepted,
        )


def _without_misses(drafts: Ordered[int], drawn: Ordered[Drawn | None]) -> Ordered[Drawn | None]:
    """The draws that count: a draft must be what was drawn in its place, or else what follows it is worth nothing.

    This changes no answer. A token's draw depends on scores, seed and index alone, and it is this draw that is told,
    with a draft or without. So a draft x is accepted with the probability of x under the model, which is just that of
    rejection sampling (Leviathan et al., 2023: min(1, p(x) / q(x))) for a proposer that is sure of x, q(x) = 1.
    """
    for index, draft in enumerate(drafts):
        token = drawn[index]
        if token is None or token.token_id != draft:
            return drawn[: index + 1]
    return drawn


def _append(sequence: Sequence, drawn: Ordered[Drawn | None]) -> list[Output]:
    """Make tokens part of the answer, up to the one that ends it."""
    request, tokens, outputs = sequence.request, sequence.tokens, list[Output]()
    cached = 0 if sequence.has_begun else sequence.cached
    for token in drawn:
        if token is None:
            return [*outputs, Output(request.id, None, error=Fault.NOT_FINITE)]
        tokens.append(token.token_id)
        reason = FinishReason.LENGTH if len(tokens) >= sequence.limit else None
        if token.token_id in request.stop_ids:
            reason = FinishReason.STOP
        told = None if token.logprob is None else token
        outputs.append(Output(request.id, token.token_id, reason, None, told, cached))
        if reason is not None:
            break
        cached = 0
    return outputs
