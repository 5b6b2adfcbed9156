"""Each rule of the scheduler for itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from parley_worker.core import FinishReason
from parley_worker.kv.pool import IntegrityError
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.request import Drawn, Fault, Output, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler
from parley_worker.scheduler.step import Step
from parley_worker.testing.block_model import BlockModel, answer

GREEDY = Sampling(0.0, 0, 1.0, 1.0, 0)
STOP = 99


def request(
    name: str,
    prompt: int | tuple[int, ...] = 3,
    max_tokens: int = 4,
    *,
    answered: int = 0,
    user: str = "",
    deadline: float | None = None,
    sampling: Sampling = GREEDY,
) -> Request:
    """An int stands for so many tokens that no other name has."""
    tokens = (10_000 + ord(name[0]),) * prompt if isinstance(prompt, int) else prompt
    return Request(name, tokens, answered, max_tokens, frozenset({STOP}), sampling, user, deadline)


def shape(step: Step) -> dict[str, int]:
    return {segment.sequence.request.id: segment.length for segment in step.segments}


def update(scheduler: Scheduler, step: Step, token: int | None = 7) -> list[Output]:
    return scheduler.update(step, [None if token is None else Drawn(token)] * step.draw_count)


def advance(scheduler: Scheduler, token: int | None = 7, now: float = 0.0) -> list[Output]:
    return update(scheduler, scheduler.schedule(now), token)


def advance_to_shape(scheduler: Scheduler) -> dict[str, int]:
    step = scheduler.schedule(0.0)
    update(scheduler, step)
    return shape(step)


def drain(scheduler: Scheduler, model: BlockModel, *, lookahead: bool = False) -> dict[str, list[int]]:
    answers: dict[str, list[int]] = {}
    flight: deque[tuple[Step, list[Drawn | None]]] = deque()
    for _ in range(2000):
        if scheduler.idle:
            return answers
        step = scheduler.schedule(0.0)
        flight.append((step, model.run(step)))
        while len(flight) > (lookahead and step.rows > 0):
            for output in scheduler.update(*flight.popleft()):
                assert output.token_id is not None
                answers.setdefault(output.id, []).append(output.token_id)
        scheduler.check_integrity()
    raise AssertionError("somebody starves")


class TestBudget:
    def test_those_that_decode_come_first_and_prompts_get_what_is_left(self) -> None:
        scheduler = Scheduler(64, 8, 256, step_tokens=40)
        scheduler.add(request("a", max_tokens=20))
        scheduler.add(request("b", max_tokens=20))
        advance(scheduler)
        scheduler.add(request("c", 100))
        assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 32}
        assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 32}
        assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 36}
        assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 1}

    def test_a_short_prompt_does_not_stand_behind_a_long_one(self) -> None:
        scheduler = Scheduler(64, 8, 512, step_tokens=64)
        scheduler.add(request("long", 400))
        scheduler.add(request("middle", 200))
        scheduler.add(request("short", 20))
        assert advance_to_shape(scheduler) == {"long": 32, "middle": 12, "short": 20}

    def test_pieces_of_prompts_end_where_blocks_do(self) -> None:
        scheduler = Scheduler(64, 8, 512, step_tokens=39)
        scheduler.add(request("a", 100))
        lengths = [advance_to_shape(scheduler)["a"] for _ in range(3)]
        assert lengths == [32, 32, 36]

    def test_prompts_go_on_even_when_the_decoding_use_up_the_budget(self) -> None:
        scheduler = Scheduler(64, 8, 256, step_tokens=2)
        scheduler.add(request("a", 1, max_tokens=9))
        advance(scheduler)
        scheduler.add(request("b", 1, max_tokens=9))
        advance(scheduler)
        scheduler.add(request("c", 40))
        assert advance_to_shape(scheduler) == {"a": 1, "b": 1, "c": 2}

    def test_the_segments_of_one_row_come_first(self) -> None:
        scheduler = Scheduler(64, 8, 256, step_tokens=64)
        scheduler.add(request("b", 20))
        scheduler.add(request("a", 1))
        assert [segment.length for segment in scheduler.schedule(0.0).segments] == [1, 20]


class TestAdmission:
    def test_no_more_run_than_the_capacity(self) -> None:
        scheduler = Scheduler(64, 2, 256, step_tokens=64)
        for name in "abc":
            scheduler.add(request(name, max_tokens=1 if name == "a" else 3))
        assert set(advance_to_shape(scheduler)) == {"a", "b"}
        assert set(advance_to_shape(scheduler)) == {"b", "c"}

    def test_nobody_is_admitted_without_blocks_for_his_prompt_beside_those_of_others(self) -> None:
        scheduler = Scheduler(8, 8, 128, step_tokens=16)
        scheduler.add(request("a", 60, max_tokens=1))
        scheduler.add(request("b", 60, max_tokens=1))
        scheduler.add(request("c", 4, max_tokens=1))
        names: set[str] = set()
        for _ in range(4):
            names |= set(advance_to_shape(scheduler))
            assert scheduler.stats is not None
            assert scheduler.stats.preemptions == 0
        assert names == {"a", "b"}

    def test_nobody_passes_him_who_is_next(self) -> None:
        scheduler = Scheduler(8, 8, 128, step_tokens=64)
        scheduler.add(request("a", 30, max_tokens=8))
        advance(scheduler)
        scheduler.add(request("big", 115))
        scheduler.add(request("small", 1))
        for _ in range(7):
            assert set(advance_to_shape(scheduler)) == {"a"}
        assert set(advance_to_shape(scheduler)) == {"big"}

    def test_users_take_turns(self) -> None:
        scheduler = Scheduler(64, 1, 256, step_tokens=16)
        for number in range(3):
            scheduler.add(request(f"a{number}", 16, max_tokens=1, user="a"))
        scheduler.add(request("b0", 16, max_tokens=1, user="b"))
        assert [next(iter(advance_to_shape(scheduler))) for _ in range(4)] == ["a0", "b0", "a1", "a2"]

    def test_a_user_with_long_answers_waits_longer(self) -> None:
        scheduler = Scheduler(64, 1, 256, step_tokens=16)
        for number in range(4):
            scheduler.add(request(f"a{number}", 8, max_tokens=40, user="a"))
            scheduler.add(request(f"b{number}", 8, max_tokens=1, user="b"))
        ends = []
        while not scheduler.idle:
            ends += [output.id[0] for output in advance(scheduler) if output.last]
        assert "".join(ends) == "abbbbaaa"

    def test_what_fits_exactly_runs(self) -> None:
        scheduler = Scheduler(2, 1, 64, step_tokens=64)
        scheduler.add(request("a", 32, max_tokens=1))
        assert advance(scheduler)[0].last

    @pytest.mark.parametrize(
        ("bad", "complaint"),
        [
            (request("a", 0), "0 tokens in a window of 64"),
            (request("a", 64), "64 tokens in a window of 64"),
            (request("a", 30, max_tokens=20), "do not fit in a cache of 3 blocks"),
            (request("a", 30, answered=4, max_tokens=4), "nothing to do"),
            (request("there"), "'there' is there already"),
        ],
    )
    def test_what_can_never_be_answered_is_refused(self, bad: Request, complaint: str) -> None:
        scheduler = Scheduler(3, 8, 64, step_tokens=64)
        scheduler.add(request("there"))
        with pytest.raises(ValueError, match=complaint):
            scheduler.add(bad)
        scheduler.add(request("b", 30, max_tokens=19))

    @pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
    def test_sizes_are_positive(self, sizes: tuple[int, int, int, int]) -> None:
        with pytest.raises(ValueError, match="1 at least"):
            Scheduler(*sizes)


class TestEnds:
    def test_a_stop_token_max_tokens_and_the_window_end_an_answer(self) -> None:
        scheduler = Scheduler(8, 8, 6, step_tokens=64)
        scheduler.add(request("counts", max_tokens=2))
        scheduler.add(request("fills", max_tokens=100))
        ends: dict[str, FinishReason | None] = {}
        for token in (7, 7, 7):
            ends |= {output.id: output.finish_reason for output in advance(scheduler, token) if output.last}
        assert ends == {"counts": FinishReason.LENGTH, "fills": FinishReason.LENGTH}
        scheduler.add(request("stops"))
        (output,) = advance(scheduler, STOP)
        assert (output.token_id, output.finish_reason) == (STOP, FinishReason.STOP)
        assert scheduler.idle

    def test_max_tokens_counts_what_was_answered_before(self) -> None:
        scheduler = Scheduler(8, 1, 32, step_tokens=64)
        scheduler.add(request("a", 6, answered=3, max_tokens=5))
        assert [advance(scheduler)[0].finish_reason for _ in range(2)] == [None, FinishReason.LENGTH]

    def test_scores_that_are_not_finite_end_their_request_alone_and_nobody_finds_its_blocks(self) -> None:
        scheduler, prompt = Scheduler(16, 4, 128, step_tokens=48), tuple(range(40))
        scheduler.add(request("good", max_tokens=9))
        scheduler.add(request("bad", prompt))
        step = scheduler.schedule(0.0)
        outputs = scheduler.update(step, [Drawn(7), None])
        assert [(output.id, output.error) for output in outputs] == [("good", None), ("bad", Fault.NOT_FINITE)]
        scheduler.add(request("next", prompt))
        step = scheduler.schedule(0.0)
        assert shape(step) == {"good": 1, "next": 40}
        assert step.prefix_hits == 0

    def test_blocks_that_were_found_before_they_proved_bad_are_not_found_again(self) -> None:
        scheduler, prompt = Scheduler(16, 4, 128, step_tokens=32), tuple(range(40))
        scheduler.add(request("bad", prompt))
        advance(scheduler)
        scheduler.add(request("fellow", prompt))
        step = scheduler.schedule(0.0)
        assert step.prefix_hits == 32
        scheduler.update(step, [None, Drawn(7)])
        scheduler.add(request("next", prompt))
        assert scheduler.schedule(0.0).prefix_hits == 0
        scheduler.check_integrity()

    @pytest.mark.parametrize("waiting", [False, True])
    def test_abort_forgets_a_request_wherever_it_is(self, waiting: bool) -> None:
        scheduler = Scheduler(8, 1, 32, step_tokens=64)
        scheduler.add(request("first"))
        if waiting:
            advance(scheduler)
        scheduler.add(request("gone"))
        scheduler.abort("gone")
        scheduler.abort("never seen")
        assert set(advance_to_shape(scheduler)) == {"first"}
        scheduler.abort("first")
        assert scheduler.idle
        scheduler.check_integrity()

    def test_what_is_drawn_for_an_aborted_request_is_dropped(self) -> None:
        scheduler = Scheduler(8, 4, 32, step_tokens=64)
        scheduler.add(request("gone"))
        scheduler.add(request("stays"))
        step = scheduler.schedule(0.0)
        scheduler.abort("gone")
        assert [output.id for output in update(scheduler, step)] == ["stays"]

    def test_an_id_is_free_again_once_its_request_is_over(self) -> None:
        scheduler = Scheduler(8, 4, 32, step_tokens=64)
        for _ in range(2):
            scheduler.add(request("a", max_tokens=1))
            assert advance(scheduler)[0].last

    def test_log_probabilities_pass_through(self) -> None:
        scheduler = Scheduler(8, 4, 32, step_tokens=64)
        scheduler.add(request("a"))
        drawn = Drawn(7, -0.5, ((7, -0.5), (8, -1.5)))
        (output,) = scheduler.update(scheduler.schedule(0.0), [drawn])
        assert output.drawn == drawn


class TestDeadlines:
    def test_a_request_past_its_deadline_is_over_at_the_next_step(self) -> None:
        scheduler = Scheduler(8, 1, 32, step_tokens=64)
        scheduler.add(request("runs", deadline=5.0))
        scheduler.add(request("waits", deadline=4.0))
        advance(scheduler, now=3.9)
        step = scheduler.schedule(5.0)
        assert not step.segments
        assert not scheduler.idle
        outputs = update(scheduler, step)
        assert [(output.id, output.error) for output in outputs] == [
            ("waits", Fault.DEADLINE),
            ("runs", Fault.DEADLINE),
        ]
        assert scheduler.idle
        scheduler.check_integrity()

    def test_a_deadline_after_the_end_means_nothing(self) -> None:
        scheduler = Scheduler(8, 1, 32, step_tokens=64)
        scheduler.add(request("a", max_tokens=1, deadline=5.0))
        advance(scheduler)
        scheduler.add(request("a", max_tokens=1))
        (output,) = advance(scheduler, now=6.0)
        assert output.error is None

    def test_who_is_aborted_after_his_deadline_hears_nothing(self) -> None:
        scheduler = Scheduler(8, 1, 32, step_tokens=64)
        scheduler.add(request("a", deadline=5.0))
        step = scheduler.schedule(6.0)
        scheduler.abort("a")
        assert update(scheduler, step) == []
        assert scheduler.idle

    def test_deadlines_of_requests_that_are_over_are_not_kept(self) -> None:
        scheduler = Scheduler(8, 4, 32, step_tokens=64)
        for number in range(1000):
            scheduler.add(request(str(number), max_tokens=1, deadline=1e9))
            advance(scheduler)
        assert len(scheduler._deadlines) < 100


class TestPrefixes:
    def test_who_comes_with_the_same_prefix_computes_the_rest_alone(self) -> None:
        scheduler, prefix = Scheduler(32, 4, 256, step_tokens=128), tuple(range(70))
        scheduler.add(request("a", prefix))
        (first,) = advance(scheduler)
        scheduler.add(request("b", (*prefix, 1, 2)))
        step = scheduler.schedule(0.0)
        assert shape(step) == {"a": 1, "b": 72 - 64}
        assert step.prefix_hits == 64
        assert [(output.id, output.cached_tokens) for output in update(scheduler, step)] == [("a", 0), ("b", 64)]
        assert first.cached_tokens == 0
        assert [output.cached_tokens for output in advance(scheduler)] == [0, 0]

    def test_a_token_is_left_to_compute(self) -> None:
        scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(2 * BLOCK_SIZE))
        scheduler.add(request("a", prompt, max_tokens=1))
        advance(scheduler)
        scheduler.add(request("b", prompt))
        assert advance_to_shape(scheduler) == {"b": BLOCK_SIZE}

    def test_the_next_turn_of_a_conversation_finds_prompt_and_answer(self) -> None:
        scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(20))
        scheduler.add(request("turn", prompt, max_tokens=30))
        while not scheduler.idle:
            advance(scheduler)
        scheduler.add(request("next", (*prompt, *(7,) * 30, 1, 2, 3)))
        assert scheduler.schedule(0.0).prefix_hits == 48

    def test_an_answer_is_found_while_it_is_made(self) -> None:
        scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(20))
        scheduler.add(request("runs", prompt, max_tokens=100))
        for _ in range(13):
            advance(scheduler)
        scheduler.add(request("same", (*prompt, *(7,) * 13)))
        assert scheduler.schedule(0.0).prefix_hits == 32

    def test_a_block_is_not_found_before_it_is_computed(self) -> None:
        scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128, lookahead=True), tuple(range(40))
        scheduler.add(request("a", prompt))
        first = scheduler.schedule(0.0)
        scheduler.add(request("b", prompt))
        second = scheduler.schedule(0.0)
        assert shape(second) == {"a": 1}
        update(scheduler, first)
        update(scheduler, second)
        assert shape(scheduler.schedule(0.0)) == {"a": 1, "b": 8}

    def test_sixteen_with_one_prefix_compute_it_once(self) -> None:
        prefix = tuple(n % 50 for n in range(600))
        scheduler, model = Scheduler(200, 16, 1024, step_tokens=256), BlockModel(200)
        requests = [request(f"{n}", (*prefix, 60 + n), max_tokens=3) for n in range(16)]
        for each in requests:
            scheduler.add(each)
        computed, answers = 0, dict[str, list[int]]()
        while not scheduler.idle:
            step = scheduler.schedule(0.0)
            computed += step.rows - step.decode_rows
            for output in scheduler.update(step, model.run(step)):
                assert output.token_id is not None
                answers.setdefault(output.id, []).append(output.token_id)
                if len(answers[output.id]) == 1:
                    assert output.cached_tokens == (0 if output.id == "0" else 592)
        assert computed == 601 + 15 * 9
        assert answers == {each.id: answer(each, 3) for each in requests}

    def test_whose_next_block_another_one_computes_waits_for_it_also_in_the_middle_of_a_prompt(self) -> None:
        scheduler, prompt = Scheduler(64, 4, 512, step_tokens=64), tuple(range(200))
        scheduler.add(request("a", prompt))
        advance(scheduler)
        scheduler.add(request("b", (*prompt[:100], 1, 2, 3)))
        assert advance_to_shape(scheduler) == {"a": 64}
        assert advance_to_shape(scheduler) == {"a": 48, "b": 7}

    def test_who_is_in_the_middle_of_a_block_finishes_it_himself(self) -> None:
        scheduler, model, prefix = Scheduler(64, 4, 512, step_tokens=8), BlockModel(64), tuple(range(32))
        first, long = request("first", 200), request("long", (*prefix, *range(100)))
        scheduler.add(first)
        scheduler.add(long)
        step = scheduler.schedule(0.0)
        assert shape(step) == {"first": 4, "long": 4}
        scheduler.update(step, model.run(step))
        short = request("short", (*prefix, 1, 2))
        scheduler.add(short)
        assert drain(scheduler, model) == {each.id: answer(each, 4) for each in (first, long, short)}

    def test_nobody_finds_what_another_user_said(self) -> None:
        scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128), tuple(range(40))
        scheduler.add(request("a", prompt, max_tokens=1, user="ada"))
        advance(scheduler)
        scheduler.add(request("b", prompt, max_tokens=1, user="bob"))
        assert advance_to_shape(scheduler) == {"b": 40}
        scheduler.add(request("c", prompt, user="ada"))
        assert advance_to_shape(scheduler) == {"c": 40 - 2 * BLOCK_SIZE}

    def test_without_sharing_everybody_computes_his_own(self) -> None:
        scheduler, prompt = Scheduler(32, 4, 256, step_tokens=128, share=False), tuple(range(40))
        scheduler.add(request("a", prompt, max_tokens=1))
        scheduler.add(request("b", prompt, max_tokens=1))
        assert advance_to_shape(scheduler) == {"a": 40, "b": 40}
        scheduler.add(request("c", prompt))
        assert advance_to_shape(scheduler) == {"c": 40}

    def test_the_end_of_a_prefix_is_given_out_before_its_beginning(self) -> None:
        scheduler, prompt = Scheduler(8, 2, 128, step_tokens=128), tuple(range(64))
        scheduler.add(request("a", prompt, max_tokens=1))
        advance(scheduler)
        scheduler.add(request("other", 90, max_tokens=1))
        advance(scheduler)
        scheduler.add(request("b", (*prompt, 1), max_tokens=1))
        assert scheduler.schedule(0.0).prefix_hits == 32

    def test_who_paid_for_a_prefix_that_he_then_took_over_gets_it_back(self) -> None:
        scheduler, prompt = Scheduler(64, 2, 256, step_tokens=256), tuple(range(100))
        for name in ("a0", "a1"):
            scheduler.add(request(name, prompt, max_tokens=2, user="a"))
        scheduler.add(request("a2", 100, user="a"))
        scheduler.add(request("b0", 100, user="b"))
        assert [advance_to_shape(scheduler) for _ in range(3)] == [
            {"a0": 100},
            {"a0": 1, "a1": 4},
            {"a1": 1, "a2": 100},
        ]


class TestPreemption:
    def test_the_last_to_arrive_gives_its_blocks_and_comes_back_first(self) -> None:
        scheduler, model = Scheduler(6, 4, 96, step_tokens=128), BlockModel(6)
        requests = [request("a", tuple(range(30)), 30), request("b", tuple(range(50, 80)), 30), request("c", 40, 9)]
        for each in requests:
            scheduler.add(each)
        preempted = False
        answers: dict[str, list[int]] = {}
        while not scheduler.idle:
            step = scheduler.schedule(0.0)
            if step.preemptions:
                preempted = True
                assert set(shape(step)) == {"a"}
            for output in scheduler.update(step, model.run(step)):
                assert output.token_id is not None
                answers.setdefault(output.id, []).append(output.token_id)
        assert preempted
        assert list(answers) == ["a", "b", "c"]
        assert answers == {each.id: answer(each, each.max_tokens) for each in requests}

    def test_what_is_computed_again_is_found_in_the_cache_and_not_told_as_cached(self) -> None:
        scheduler = Scheduler(5, 4, 96, step_tokens=128)
        scheduler.add(request("a", 31, 10))
        scheduler.add(request("b", 40, 10))
        outputs, hits = [], 0
        while not scheduler.idle:
            step = scheduler.schedule(0.0)
            hits += step.prefix_hits
            outputs += update(scheduler, step)
        assert hits == 32
        assert all(output.cached_tokens == 0 for output in outputs)

    def test_who_had_to_go_before_his_first_token_is_not_told_of_his_own_blocks_as_cached(self) -> None:
        scheduler = Scheduler(6, 4, 96, step_tokens=3)
        scheduler.add(request("a", 31, 40))
        scheduler.add(request("b", 60, 4))
        outputs, hits = [], 0
        while not scheduler.idle:
            step = scheduler.schedule(0.0)
            hits += step.prefix_hits
            outputs += update(scheduler, step)
        assert hits >= BLOCK_SIZE
        assert all(output.cached_tokens == 0 for output in outputs)

    def test_the_oldest_prompt_takes_blocks_from_other_prompts(self) -> None:
        scheduler, model = Scheduler(10, 4, 160, step_tokens=3), BlockModel(10)
        requests = [request("a", 100, 4), request("d", 14, 120), request("q", 30, 4)]
        for each in requests:
            scheduler.add(each)
        assert drain(scheduler, model) == {each.id: answer(each, each.max_tokens) for each in requests}

    def test_what_is_computed_again_is_found_again(self) -> None:
        scheduler = Scheduler(6, 4, 96, step_tokens=128)
        scheduler.add(request("a", 31, 40))
        scheduler.add(request("b", 40, 10))
        preemptions = 0
        while not scheduler.idle:
            step = scheduler.schedule(0.0)
            preemptions += step.preemptions
            update(scheduler, step)
        assert preemptions == 1
        scheduler.add(request("b", 40, 10))
        assert scheduler.schedule(0.0).prefix_hits == 32

    def test_the_oldest_prompt_takes_blocks_from_those_that_decode_also_in_this_step(self) -> None:
        scheduler, model = Scheduler(8, 4, 128, step_tokens=3), BlockModel(8)
        long, short = request("long", tuple(range(100)), 8), request("short", tuple(range(200, 210)), 60)
        scheduler.add(long)
        scheduler.add(short)
        answers: dict[str, list[int]] = {"long": [], "short": []}
        taken = []
        while not scheduler.idle:
            step = scheduler.schedule(0.0)
            if step.preemptions:
                taken.append(shape(step))
            assert "long" in shape(step) or len(answers["long"]) == 8
            for output in scheduler.update(step, model.run(step)):
                assert output.token_id is not None
                answers[output.id].append(output.token_id)
            scheduler.check_integrity()
        assert taken[0] == {"long": 3}
        assert answers == {"long": answer(long, 8), "short": answer(short, 60)}


class Guesses:
    """Proposes what it is told to."""

    streams = 2

    def __init__(self, *drafts: int) -> None:
        self.drafts = list(drafts)
        self.limits: list[int] = []
        self.seen: list[tuple[int, int]] = []

    def propose(self, tokens: list[int], limit: int) -> list[int]:
        self.limits.append(limit)
        return self.drafts[:limit]

    def observe(self, proposed: int, accepted: int) -> None:
        self.seen.append((proposed, accepted))


def speculating(proposer: Guesses, blocks: int = 16, window: int = 64, max_tokens: int = 20) -> Scheduler:
    scheduler = Scheduler(blocks, 4, window, step_tokens=32, proposer=proposer)
    scheduler.add(request("a", (5, 6), max_tokens))
    advance(scheduler, 1)
    return scheduler


class TestDrafts:
    def test_drafts_are_rows_that_all_draw_and_know_what_is_before_them(self) -> None:
        scheduler = speculating(Guesses(2, 3))
        step = scheduler.schedule(0.0)
        (segment,) = step.segments
        assert (segment.length, segment.draws, segment.token_ids) == (3, 3, [1, 2, 3])
        assert [(draw.index, list(draw.tokens), draw.prompt) for draw in step.draws] == [
            (1, [5, 6, 1], 2),
            (2, [5, 6, 1, 2], 2),
            (3, [5, 6, 1, 2, 3], 2),
        ]

    @pytest.mark.parametrize(
        ("drawn", "tokens"), [((2, 3, 4), [2, 3, 4]), ((2, 9, 4), [2, 9]), ((9, 3, 4), [9]), ((STOP, 3, 4), [STOP])]
    )
    def test_drafts_count_as_long_as_they_are_what_is_drawn(self, drawn: tuple[int, ...], tokens: list[int]) -> None:
        proposer = Guesses(2, 3)
        scheduler = speculating(proposer)
        outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in drawn])
        assert [output.token_id for output in outputs] == tokens
        assert proposer.seen == [(2, len(tokens) - 1)]
        assert scheduler.stats is not None
        assert (scheduler.stats.drafts_proposed, scheduler.stats.drafts_accepted) == (2, len(tokens) - 1)
        if not outputs[-1].last:
            (segment,) = scheduler.schedule(0.0).segments
            assert (segment.start, segment.token_ids[0], segment.place) == (
                2 + len(tokens),
                tokens[-1],
                1 + len(tokens),
            )

    def test_a_stop_token_cuts_what_is_accepted(self) -> None:
        drafts = (STOP, *range(20))
        scheduler = speculating(Guesses(*drafts), max_tokens=60)
        outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in (*drafts, 30)])
        assert [(output.token_id, output.finish_reason) for output in outputs] == [(STOP, FinishReason.STOP)]
        assert scheduler.idle
        assert scheduler.stats is not None
        assert scheduler.stats.blocks_cached == 0
        scheduler.check_integrity()

    def test_scores_that_are_not_finite_count_only_where_a_draft_is_accepted(self) -> None:
        scheduler = speculating(Guesses(2, 3))
        outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(9), None, None])
        assert [output.token_id for output in outputs] == [9]
        outputs = scheduler.update(scheduler.schedule(0.0), [Drawn(2), None, None])
        assert [(output.token_id, output.error) for output in outputs] == [(2, None), (None, Fault.NOT_FINITE)]

    @pytest.mark.parametrize(("window", "max_tokens", "limit"), [(64, 5, 3), (7, 50, 3), (64, 50, 31), (64, 2, None)])
    def test_no_more_drafts_than_the_answer_and_the_step_have_room_for(
        self, window: int, max_tokens: int, limit: int | None
    ) -> None:
        proposer = Guesses(*range(40))
        scheduler = speculating(proposer, window=window, max_tokens=max_tokens)
        step = scheduler.schedule(0.0)
        assert proposer.limits == ([] if limit is None else [limit])
        assert step.rows == 1 + (limit or 0)

    def test_drafts_take_blocks_that_are_available_and_no_others(self) -> None:
        proposer = Guesses(*range(40))
        scheduler = speculating(proposer, blocks=2, window=30)
        scheduler.add(request("b", 2, 9))
        advance(scheduler)
        step = scheduler.schedule(0.0)
        assert step.preemptions == 0
        assert proposer.limits[0] <= 13

    def test_no_drafts_where_more_decode_than_the_proposer_is_for(self) -> None:
        proposer = Guesses(2, 3)
        scheduler = speculating(proposer)
        for name in "bc":
            scheduler.add(request(name, 2, 20))
        advance(scheduler)
        assert shape(scheduler.schedule(0.0)) == {"a": 1, "b": 1, "c": 1}

    def test_blocks_of_rejected_drafts_are_not_found(self) -> None:
        drafts = tuple(range(2, 30))
        scheduler = speculating(Guesses(*drafts), max_tokens=60)
        scheduler.update(scheduler.schedule(0.0), [Drawn(9)] * 29)
        scheduler.add(request("b", (5, 6, 1, *drafts)))
        assert scheduler.schedule(0.0).prefix_hits == 0

    def test_a_block_is_not_found_while_its_last_token_is_only_drawn(self) -> None:
        drafts = tuple(range(2, 30))
        scheduler = speculating(Guesses(*drafts), max_tokens=60)
        scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in (*drafts[:12], *[9] * 17)])
        scheduler.add(request("b", (5, 6, 1, *drafts[:12], 9, 1)))
        assert scheduler.schedule(0.0).prefix_hits == 0

    def test_blocks_of_accepted_drafts_are_found(self) -> None:
        drafts = tuple(range(2, 30))
        scheduler = speculating(Guesses(*drafts), max_tokens=60)
        scheduler.update(scheduler.schedule(0.0), [Drawn(token) for token in (*drafts, 30)])
        scheduler.add(request("b", (5, 6, 1, *drafts)))
        assert scheduler.schedule(0.0).prefix_hits == BLOCK_SIZE

    def test_what_was_cached_is_told_once_also_where_the_first_token_brings_more(self) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=16, proposer=Guesses(7, 7))
        scheduler.add(request("a", tuple(range(17)), max_tokens=1))
        advance(scheduler)
        advance(scheduler)
        scheduler.add(request("b", (*range(16), *range(50, 67)), max_tokens=9))
        assert advance(scheduler) == []
        assert [output.cached_tokens for output in advance(scheduler)] == [16, 0, 0]

    def test_drafts_and_lookahead_do_not_go_together(self) -> None:
        with pytest.raises(ValueError, match="no proposer with lookahead"):
            Scheduler(8, 4, 64, 32, lookahead=True, proposer=Guesses())


class TestLookahead:
    def test_a_token_in_flight_is_named_by_its_draw(self) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
        scheduler.add(request("a", 20, 9))
        scheduler.add(request("b", 1, 9))
        first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
        assert [segment.sequence.request.id for segment in first.segments] == ["b", "a"]
        assert [(s.sequence.request.id, s.start, s.token_ids, s.place) for s in second.segments] == [
            ("a", 20, [-2], 1),
            ("b", 1, [-1], 1),
        ]
        assert [output.id for output in update(scheduler, first)] == ["b", "a"]
        assert [segment.token_ids for segment in scheduler.schedule(0.0).segments] == [[-1], [-2]]

    def test_no_row_is_wasted_where_the_end_is_known_before_the_token(self) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
        scheduler.add(request("a", 3, 1))
        scheduler.add(request("b", 61, 9))
        scheduler.schedule(0.0)
        assert shape(scheduler.schedule(0.0)) == {"b": 32}

    def test_the_row_after_a_stop_token_is_dropped(self) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
        scheduler.add(request("a", 3, 9))
        first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
        assert [output.token_id for output in update(scheduler, first, STOP)] == [STOP]
        assert not scheduler.idle
        assert update(scheduler, second) == []
        assert scheduler.idle
        scheduler.check_integrity()

    @pytest.mark.parametrize(
        "penalized",
        [
            Sampling(0.0, 0, 1.0, 1.2, 0),
            Sampling(0.0, 0, 1.0, 1.0, 0, presence_penalty=0.5),
            Sampling(0.0, 0, 1.0, 1.0, 0, frequency_penalty=0.5),
        ],
    )
    def test_penalties_wait_for_the_token(self, penalized: Sampling) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
        scheduler.add(request("a", 3, 9, sampling=penalized))
        scheduler.add(request("b", 3, 9))
        assert not scheduler.needs_tokens
        first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
        assert shape(second) == {"b": 1}
        assert scheduler.needs_tokens
        update(scheduler, first)
        assert not scheduler.needs_tokens
        assert shape(scheduler.schedule(0.0)) == {"a": 1, "b": 1}

    def test_a_preempted_sequence_still_gets_its_token_in_flight(self) -> None:
        scheduler = Scheduler(3, 4, 48, step_tokens=64, lookahead=True)
        scheduler.add(request("a", 16, 20))
        scheduler.add(request("b", 15, 20))
        first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
        assert (second.preemptions, shape(second)) == (0, {"a": 1, "b": 1})
        assert {output.id for output in update(scheduler, first)} == {"a", "b"}
        third = scheduler.schedule(0.0)
        assert (third.preemptions, shape(third)) == (1, {"a": 1})
        assert {output.id for output in update(scheduler, second)} == {"a", "b"}
        scheduler.check_integrity()

    def test_a_preempted_sequence_is_not_admitted_before_its_token_in_flight_is_known(self) -> None:
        """Its last block of the prefix is its own, though `long` has the same: it can find more than it gave back."""
        scheduler, model = Scheduler(6, 2, 96, step_tokens=20, lookahead=True), BlockModel(6)
        long, short = request("long", tuple(range(60)), 8), request("short", tuple(range(48)), 30)
        scheduler.add(long)
        scheduler.add(short)
        answers = drain(scheduler, model, lookahead=True)
        assert answers == {"long": answer(long, 8), "short": answer(short, 30)}

    def test_steps_are_updated_in_order_and_no_more_than_two_are_open(self) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=32, lookahead=True)
        scheduler.add(request("a", 3, 9))
        first, second = scheduler.schedule(0.0), scheduler.schedule(0.0)
        with pytest.raises(RuntimeError, match="updated first"):
            scheduler.schedule(0.0)
        with pytest.raises(ValueError, match="not the draws"):
            update(scheduler, second)
        with pytest.raises(ValueError, match="not the draws"):
            scheduler.update(first, [])
        update(scheduler, first)
        update(scheduler, second)

    def test_without_it_a_step_is_updated_before_the_next(self) -> None:
        scheduler = Scheduler(16, 4, 64, step_tokens=32)
        scheduler.add(request("a", 3, 9))
        scheduler.schedule(0.0)
        with pytest.raises(RuntimeError, match="updated first"):
            scheduler.schedule(0.0)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda scheduler: scheduler._live.popitem(), "2 running and 1 waiting of 2"),
        (
            lambda scheduler: setattr(scheduler._residents.running[0], "row", scheduler._residents.running[1].row),
            "share a row",
        ),
        (lambda scheduler: scheduler._residents.running[0].blocks.pop(), "holders"),
    ],
)
def test_integrity_tells_what_is_wrong(damage: Callable[[Scheduler], None], complaint: str) -> None:
    scheduler = Scheduler(16, 2, 64, step_tokens=64)
    for name in "abc":
        scheduler.add(request(name))
    advance(scheduler)
    scheduler.check_integrity()
    damage(scheduler)
    with pytest.raises(IntegrityError, match=complaint):
        scheduler.check_integrity()


def test_the_numbers_of_a_step() -> None:
    scheduler, prompt = Scheduler(16, 2, 128, step_tokens=64), tuple(range(40))
    scheduler.add(request("a", prompt, 9))
    advance(scheduler)
    scheduler.add(request("b", (*prompt[:32], 1, 2)))
    scheduler.add(request("c", 3))
    advance(scheduler)
    stats = scheduler.stats
    assert stats is not None
    assert (stats.rows, stats.decode_rows, stats.prompt_rows) == (3, 1, 2)
    assert (stats.running, stats.waiting, stats.prefix_hits, stats.preemptions) == (2, 1, 32, 0)
    assert (stats.blocks_used, stats.blocks_cached, stats.blocks_total) == (4, 0, 16)
    scheduler.abort("a")
    scheduler.abort("b")
    advance(scheduler)
    assert scheduler.stats is not None
    assert (scheduler.stats.blocks_used, scheduler.stats.blocks_cached) == (1, 2)
