"""Drafts by prompt lookup: right where text repeats itself, and never dear where it does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle, islice
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_worker.scheduler.ngram import NgramProposer
from parley_worker.scheduler.odds import Acceptance, Credit, RowCost
from parley_worker.scheduler.stats import StepStats

ROW_COST = 0.15
Next = Callable[[list[int], list[int]], int]
"""The token that is drawn after `tokens`, where `draft` was guessed."""


def answer(proposer: NgramProposer, tokens: list[int], count: int, draw: Next, limit: int = 8) -> tuple[float, int]:
    """Decode `count` tokens as a scheduler does. Returns the time in steps of one row, and the rows drafted."""
    seconds, rows, end = 0.0, 0, len(tokens) + count
    while len(tokens) < end:
        draft = proposer.propose(tokens, min(limit, end - len(tokens) - 1))
        accepted = 0
        for guess in [*draft, None]:
            token = draw(tokens, draft[accepted:])
            tokens.append(token)
            if token != guess:
                break
            accepted += 1
        if draft:
            proposer.observe(len(draft), accepted)
        rows += len(draft)
        seconds += 1 + ROW_COST * len(draft)
    return seconds, rows


def script(text: list[int]) -> Next:
    return lambda tokens, draft: text[len(tokens)]


def stats(sequences: int, drafted: int, prompt_rows: int = 0) -> StepStats:
    rows = sequences + drafted
    return StepStats(1, rows + prompt_rows, rows, prompt_rows, sequences, 0, 0, 0, 9, 0, 0, drafted, 0)


def test_the_draft_is_what_followed_the_last_of_the_longest_matches() -> None:
    #         4-token match -> 50 51 52         a later match of three -> 60
    tokens = [1, 2, 3, 4, 50, 51, 52, 53, 9, 2, 3, 4, 60, 61, 1, 2, 3, 4]
    assert NgramProposer().propose(tokens, 2) == [50, 51]
    assert NgramProposer().propose(tokens[1:], 1) == [60]


def test_a_draft_that_reaches_the_end_repeats_itself() -> None:
    assert NgramProposer(row_cost=0.01).propose([7, 8, 9] * 3, 8) == [7, 8, 9, 7, 8, 9, 7, 8]


@pytest.mark.parametrize("tokens", [[], [5], [5, 5], [1, 2], [1, 2, 3, 4, 5, 6], [9, 1, 2, 3, 1]])
def test_without_a_match_of_two_tokens_there_is_no_draft(tokens: list[int]) -> None:
    assert NgramProposer().propose(tokens, 8) == []


def test_no_draft_is_longer_than_the_limit() -> None:
    tokens = [1, 2, 3, 4] * 10
    for limit in (-1, 0, 1, 3):
        assert len(NgramProposer().propose(list(tokens), limit)) == max(0, limit)


@given(st.lists(st.integers(0, 3), max_size=60), st.lists(st.integers(0, 3), max_size=60))
def test_what_was_read_step_by_step_is_what_is_read_at_once(prompt: list[int], rest: list[int]) -> None:
    """Growing the same list and meeting it whole give the same draft, where both are asked for one."""
    tokens, grown = list(prompt), NgramProposer(row_cost=0.0)
    for token in rest:
        grown.propose(tokens, 0)
        tokens.append(token)
    draft = grown.propose(tokens, 8)
    assert draft in ([], NgramProposer(row_cost=0.0).propose(list(tokens), 8))


def test_copying_a_prompt_takes_less_than_half_the_steps() -> None:
    prompt = random.Random(1).sample(range(50_000), 300)
    seconds, rows = answer(NgramProposer(), [*prompt, prompt[0], prompt[1]], 290, script(prompt + prompt))
    assert rows > 200
    assert seconds < 290 / 2


def test_random_text_of_few_words_costs_next_to_nothing() -> None:
    """Matches everywhere, none of which means anything: the odds alone shut it off, without spending the credit."""
    words = random.Random(2)
    seconds, rows = answer(NgramProposer(), [], 4000, lambda tokens, draft: words.randrange(20))
    assert rows < 32
    assert seconds < 4000 + 32 * ROW_COST


def test_it_comes_back_when_the_text_begins_to_repeat_itself() -> None:
    words, proposer = random.Random(3), NgramProposer()
    tokens: list[int] = []
    answer(proposer, tokens, 2000, lambda tokens, draft: words.randrange(20))
    period = random.Random(4).sample(range(100, 200), 30)
    text = tokens + list(islice(cycle(period), 500))
    seconds, _ = answer(proposer, tokens, 500, script(text))
    assert seconds < 300


def test_an_adversary_wastes_no_more_rows_than_the_credit() -> None:
    """It repeats itself perfectly, but for the token right after each draft that was run."""
    period = list(range(20))
    fresh = iter(range(1000, 10**9))

    def spite(tokens: list[int], draft: list[int]) -> int:
        return next(fresh) if draft else period[len(tokens) % len(period)]

    count = 20_000
    _, rows = answer(NgramProposer(), list(period) * 3, count, spite)
    assert 32 <= rows <= 40 + 24 * (7 + count / 1024)


def test_a_sequence_that_does_not_repeat_leaves_another_its_drafts() -> None:
    words, proposer = random.Random(5), NgramProposer()
    good, bad = list(range(100, 130)) * 2, [0, 1]
    time = 0.0
    for _ in range(30):
        answer(proposer, bad, 10, lambda tokens, draft: words.randrange(5))
        time += answer(proposer, good, 10, lambda tokens, draft: 100 + len(tokens) % 30)[0]
    assert time < 200


class Tokens(list[int]):
    """A list whose end can be seen."""


def test_it_keeps_few_sequences_and_mistakes_none_for_another() -> None:
    proposer, held = NgramProposer(streams=2), []
    for start in range(0, 2000, 50):
        tokens = Tokens([start, start + 1, start + 2, start, start + 1])
        assert proposer.propose(tokens, 1) == [start + 2]
        held.append(ref(tokens))
        del tokens
    assert sum(sequence() is not None for sequence in held) == 8


def test_a_new_sequence_begins_with_what_the_others_taught() -> None:
    taught, repeats = NgramProposer(), list(range(40)) * 2
    before = taught.propose(list(repeats), 8)
    answer(taught, list(repeats), 100, lambda tokens, draft: len(tokens) % 40)
    assert len(before) < len(taught.propose(list(repeats), 8)) == 8


def test_after_a_long_rest_one_right_draft_makes_the_search_lively_again() -> None:
    words, proposer = random.Random(7), NgramProposer()
    tokens: list[int] = []
    answer(proposer, tokens, 1000, lambda tokens, draft: words.randrange(20))

    def mostly(tokens: list[int], draft: list[int]) -> int:
        return 5000 + len(tokens) if len(tokens) % 25 == 0 else 100 + len(tokens) % 25

    answer(proposer, tokens, 200, mostly)
    assert answer(proposer, tokens, 1000, mostly)[0] < 600


def test_rows_that_cost_a_step_each_are_not_drafted() -> None:
    tokens = [1, 2, 3, 4] * 10
    dear, cheap = NgramProposer(), NgramProposer()
    for _ in range(60):
        for proposer, seconds in ((dear, 0.050), (cheap, 0.011)):
            proposer.timed(stats(1, 0), 0.010)
            proposer.timed(stats(1, 4), seconds)
            proposer.timed(stats(1, 4, prompt_rows=500), 9.0)
            proposer.timed(stats(2, 0), 0.020)
    assert dear.propose(list(tokens), 8) == []
    assert len(cheap.propose(list(tokens), 8)) >= 4


def test_who_shares_a_step_with_others_has_to_bring_more_for_each_row() -> None:
    """The tokens are one sequence's, and the time is that of all."""
    proposer, lengths = NgramProposer(row_cost=0.1), []
    for sequences in (1, 2, 3, 4, 40):
        proposer.timed(stats(sequences, 0), 0.010)
        lengths.append(len(proposer.propose([1, 2, 3, 4] * 10, 8)))
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[3] > lengths[4] == 0


def test_bytes_of_two_ids_are_not_taken_for_one() -> None:
    # As bytes, 0x0100_0000 and 0x0001 hold 0x0000_0100 across their border.
    low = [0x100, 0x100]
    tokens = [0x10000, 0x10000, 0x10000, 7, *low, 8, *low]
    assert NgramProposer().propose(tokens, 1) == [8]
    assert NgramProposer().propose([0x10000, 0x10000, 0x10000, 7, *low], 1) == []


def test_the_cost_of_a_row_is_a_share_of_the_step_without_it() -> None:
    cost = RowCost(0.5)
    cost.learn(1, 4, 9.0)
    assert cost.share == 0.5  # nothing to compare with yet
    cost.learn(1, 0, 0.010)
    for _ in range(100):
        cost.learn(1, 4, 0.014)
    assert cost.share == pytest.approx(0.1)


@pytest.mark.parametrize(("chance", "row_cost", "length"), [(0.0, 0.1, 0), (0.1, 0.2, 0), (0.5, 0.5, 0), (1.0, 0.9, 8)])
def test_a_draft_is_as_long_as_it_pays(chance: float, row_cost: float, length: int) -> None:
    assert Acceptance(chance).best_length(row_cost, 8) == length


def test_a_better_chance_makes_a_longer_draft() -> None:
    lengths = [Acceptance(chance / 10).best_length(0.1, 8) for chance in range(11)]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[10]) == (0, 8)


def test_credit_that_is_earned_back_ends_the_rests() -> None:
    credit = Credit()
    credit.settle(40, 0, 0.1)
    assert [credit.allows() for _ in range(17)] == [False] * 16 + [True]
    credit.settle(16, 0, 0.1)
    assert [credit.allows() for _ in range(33)] == [False] * 32 + [True]
    credit.settle(8, 8, 0.1)
    credit.settle(40, 0, 0.1)
    assert [credit.allows() for _ in range(17)] == [False] * 16 + [True]
