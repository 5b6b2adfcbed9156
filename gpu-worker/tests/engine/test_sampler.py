"""Draws have the right distribution, belong to the request, and obey every setting."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.generation import logits_process as oracle

from parley_worker.engine.sampler import Plan, nucleus, shortlist, whole
from parley_worker.engine.sampler import group as groups
from parley_worker.engine.sampler.blocks import best, highest, invert, per_block
from parley_worker.engine.sampler.randomness import uniform
from parley_worker.scheduler.draw import Draw
from parley_worker.scheduler.request import Drawn, Request, Sampling
from parley_worker.scheduler.scheduler import Scheduler

Floats = NDArray[np.float64]

PLAIN = Sampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)
GREEDY = replace(PLAIN, temperature=0.0)
LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])
# Two blocks and a piece; falling, so that rank and id are the same.
WIDE = torch.linspace(4.0, -4.0, 150)
CPU = torch.device("cpu")
HISTORY = [0, 1, 2, 2, 1, 0, 0, 5]
PENALTIES = replace(PLAIN, repetition_penalty=1.3, presence_penalty=0.4, frequency_penalty=0.2)


def draw(sampling: Sampling, index: int = 0) -> Draw:
    return Draw(sampling, index, HISTORY, prompt=4)


def sample(draws: list[Draw], logits: torch.Tensor) -> list[Drawn | None]:
    return Plan.of(draws, logits.shape[-1], CPU).sample(logits.clone()).read()


def tokens(draws: list[Draw], logits: torch.Tensor) -> list[int | None]:
    return [None if drawn is None else drawn.token_id for drawn in sample(draws, logits)]


def draw_many(sampling: Sampling, count: int = 4000, logits: torch.Tensor = LOGITS) -> np.ndarray:
    """How often each token is drawn, half over neighbouring seeds, half over neighbouring indexes."""
    draws = [draw(replace(sampling, seed=seed)) for seed in range(count // 2)]
    draws += [draw(sampling, index) for index in range(count // 2)]
    drawn = tokens(draws, logits.repeat(count, 1))
    assert None not in drawn
    return np.bincount(np.array(drawn), minlength=len(logits))


def chi_square_fits(counts: np.ndarray, probabilities: np.ndarray) -> bool:
    """Within 4.5 standard deviations of the chi-square of as many degrees of freedom.

    Cells that are expected to be hit less than 5 times are one cell together, as the statistic wants it.
    """
    if counts[probabilities == 0].any():
        return False
    expected = probabilities * counts.sum()
    rare = expected < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    counts, expected = counts[expected > 0], expected[expected > 0]
    freedom = max(1, len(expected) - 1)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic < freedom + 4.5 * math.sqrt(2 * freedom)


def expected(sampling: Sampling, logits: torch.Tensor = LOGITS) -> Floats:
    """The definition, one token at a time: penalties, temperature, top_k, top_p within these, min_p within these."""
    scores = logits.double().numpy().copy()
    for token in set(HISTORY):
        scores[token] *= sampling.repetition_penalty if scores[token] < 0 else 1 / sampling.repetition_penalty
    for token in set(HISTORY[4:]):
        count = HISTORY[4:].count(token)
        scores[token] -= sampling.presence_penalty + count * sampling.frequency_penalty
    weights = np.exp(scores / sampling.temperature)
    order = np.argsort(-weights, kind="stable")[: sampling.top_k or None]
    share = weights[order] / weights[order].sum()
    chosen = [
        index
        for index in range(len(share))
        if index == 0 or (share[:index].sum() < sampling.top_p and share[index] >= sampling.min_p * share[0])
    ]
    probabilities: Floats = np.zeros(len(weights))
    probabilities[order[chosen]] = share[chosen]
    probabilities /= probabilities.sum()
    return probabilities


SETTINGS = [
    PLAIN,
    replace(PLAIN, temperature=0.5),
    replace(PLAIN, temperature=3.0),
    replace(PLAIN, top_k=3),
    replace(PLAIN, top_k=1000),
    replace(PLAIN, top_p=0.7),
    replace(PLAIN, min_p=0.2),
    replace(PLAIN, top_p=0.85, top_k=3),
    replace(PLAIN, top_p=0.8, top_k=4, temperature=2.0),
    replace(PLAIN, top_p=0.9, min_p=0.1, temperature=1.5),
    replace(PLAIN, top_p=0.95, top_k=5, min_p=0.1, temperature=1.5),
    PENALTIES,
    replace(PENALTIES, top_k=4, top_p=0.9, temperature=1.2),
    replace(PENALTIES, repetition_penalty=1.0, min_p=0.1),
]


@pytest.mark.parametrize("logits", [LOGITS, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("sampling", SETTINGS)
def test_draws_follow_the_distribution(sampling: Sampling, logits: torch.Tensor) -> None:
    assert chi_square_fits(draw_many(sampling, logits=logits), expected(sampling, logits))


@pytest.fixture
def _short_shortlists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A top_k over 2 is cut where it lies."""
    monkeypatch.setattr(groups, "WIDEST", 2)


@pytest.mark.usefixtures("_short_shortlists")
@pytest.mark.parametrize("sampling", [setting for setting in SETTINGS if setting.top_k])
def test_a_wide_top_k_follows_the_distribution(sampling: Sampling) -> None:
    assert chi_square_fits(draw_many(sampling), expected(sampling))


def test_the_fit_can_fail() -> None:
    assert not chi_square_fits(draw_many(PLAIN), expected(replace(PLAIN, temperature=0.9)))
    assert not chi_square_fits(draw_many(PLAIN), expected(replace(PLAIN, top_k=5)))
    assert not chi_square_fits(draw_many(PLAIN, logits=WIDE), expected(replace(PLAIN, temperature=0.9), WIDE))
    assert not chi_square_fits(draw_many(replace(PENALTIES, top_k=4)), expected(replace(PLAIN, top_k=4)))


def test_a_large_vocabulary_is_drawn_without_bias() -> None:
    """Over twentieths of the distribution, the least likely tokens first, each of which ends within some token."""
    logits = torch.randn(40_001, generator=torch.Generator().manual_seed(0)) * 2
    order = logits.argsort()
    ends = logits[order].double().softmax(-1).cumsum(-1)
    parts = torch.empty_like(order).scatter_(0, order, (ends * 20).long().clamp(max=19))
    shares = torch.zeros(20, dtype=torch.float64).index_add_(0, parts, logits.double().softmax(-1))
    drawn = [
        tokens([draw(PLAIN, index) for index in range(start, start + 100)], logits.expand(100, -1))
        for start in range(0, 3000, 100)
    ]
    counts = parts[torch.tensor(drawn).flatten()].bincount(minlength=20)
    assert chi_square_fits(counts.numpy(), shares.numpy())


@pytest.mark.parametrize("vocab", [700, 1024])
@pytest.mark.parametrize("scale", [0.3, 2.0, 8.0])
@pytest.mark.parametrize(
    "sampling",
    [
        PLAIN,
        replace(PLAIN, top_k=20),
        replace(PLAIN, top_k=500),
        replace(PLAIN, top_p=0.9),
        replace(PLAIN, top_p=0.05),
        replace(PLAIN, min_p=0.03),
        replace(PLAIN, min_p=1.0),
        replace(PLAIN, top_k=50, top_p=0.8, temperature=0.7),
        replace(PLAIN, top_k=400, top_p=0.8, min_p=0.01, temperature=1.7),
        replace(PLAIN, top_k=30, min_p=0.1, temperature=0.6),
        replace(PLAIN, top_p=0.95, min_p=0.02, temperature=1.4),
    ],
)
def test_what_may_be_drawn_is_what_transformers_keeps(sampling: Sampling, scale: float, vocab: int) -> None:
    logits = torch.randn(6, vocab, generator=torch.Generator().manual_seed(vocab)) * scale
    warpers = oracle.LogitsProcessorList([oracle.TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(oracle.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(oracle.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(oracle.MinPLogitsWarper(sampling.min_p))
    theirs = warpers(torch.LongTensor([[0]] * 6), logits.clone()).softmax(dim=-1)
    ours = kept(sampling, logits)
    ours /= ours.sum(dim=-1, keepdim=True)
    assert ((ours > 0) == (theirs > 0)).all()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def kept(sampling: Sampling, logits: torch.Tensor) -> torch.Tensor:
    """What each token weighs in the draw of each row."""
    parts = list(groups.group([draw(sampling)] * len(logits), logits.shape[-1], CPU))
    maxima = per_block(logits, torch.amax)
    weights = torch.zeros_like(logits)
    for part in parts:
        if part.kind.width:
            scores, ids = best(logits, maxima, part.rows, part.kind.width)
            weights[part.rows] = weights[part.rows].scatter(-1, ids, shortlist.kept(scores, part).float())
        else:
            weights[part.rows] = whole.kept(part.scores(logits), highest(logits, maxima)[part.rows], part)
    return weights


@pytest.mark.parametrize("top_p", [1e-3, 0.5, 0.9, 0.999999, 1 - 1e-12])
@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 20.0])
def test_a_nucleus_ends_where_sorting_says(scale: float, top_p: float) -> None:
    torch.manual_seed(1)
    weights = (torch.randn(4, 3001) * scale).round(decimals=2).softmax(dim=-1)  # with ties
    share = torch.full((4,), top_p, dtype=torch.float64)
    ours = [weights >= end for end in (nucleus.smallest_weight(weights, share), nucleus._by_sorting(weights, share))]
    better = [[float(row[row > weight].double().sum()) for weight in row] for row in weights]
    meant = torch.tensor(better, dtype=torch.float64) < top_p * weights.double().sum(dim=-1, keepdim=True)
    # Where sums of many float32 meet the share to the last bit, either side is right.
    doubtful = (torch.tensor(better, dtype=torch.float64) - top_p).abs() < 1e-12
    assert (ours[0] == ours[1]).all()
    assert ((ours[0] == meant) | doubtful).all()


def many() -> tuple[list[Draw], torch.Tensor]:
    """Draws of every kind in no order, over a vocabulary whose last block is short."""
    settings = [
        *SETTINGS,
        GREEDY,
        replace(PLAIN, top_k=500, top_p=0.9),
        replace(PLAIN, logprobs=3),
        replace(PENALTIES, logprobs=20, top_p=0.9),
        replace(GREEDY, logprobs=0),
    ]
    draws = [draw(replace(settings[i % len(settings)], seed=i // 3), i % 7) for i in range(90)]
    return draws, torch.randn(90, 1500, generator=torch.Generator().manual_seed(0)).round(decimals=1)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_draw_is_the_same_alone_and_among_others_to_the_last_bit_of_its_logprobs(threads: int) -> None:
    draws, logits = many()
    torch.set_num_threads(threads)
    try:
        together = sample(draws, logits)
        backwards = sample(draws[::-1], logits.flip(0))[::-1]
        alone = [sample([one], logits[i : i + 1])[0] for i, one in enumerate(draws)]
    finally:
        torch.set_num_threads(1)
    assert together == alone == backwards


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("vocab", [6, 777, 40_001])
@pytest.mark.parametrize(
    "sampling", [PLAIN, replace(PLAIN, top_k=500, top_p=0.9), replace(PLAIN, top_p=0.8, min_p=0.01)]
)
def test_weights_are_the_same_bits_in_any_batch(sampling: Sampling, vocab: int, threads: int) -> None:
    logits = torch.randn(7, vocab, generator=torch.Generator().manual_seed(0)) * 3
    torch.set_num_threads(threads)
    try:
        together = kept(sampling, logits)
        alone = torch.cat([kept(sampling, row.unsqueeze(0)) for row in logits])
    finally:
        torch.set_num_threads(1)
    assert torch.equal(together, alone)


@pytest.mark.parametrize("other", ["seed", "index"])
def test_neighbouring_draws_are_independent(other: str) -> None:
    count = 4000
    values = [uniform(i, 5) if other == "seed" else uniform(5, i) for i in range(count)]
    pairs = np.histogram2d(values[:-1], values[1:], bins=6, range=[[0, 1], [0, 1]])[0].ravel()
    assert chi_square_fits(pairs, np.full(36, 1 / 36))
    assert all(0 <= value < 1 for value in values)


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        replace(PLAIN, temperature=1e-30),
        replace(PLAIN, top_k=1),
        replace(PLAIN, top_p=0.0),
        replace(PLAIN, top_p=1e-9),
    ],
)
def test_greedy_settings_take_the_best_token_the_first_of_ties(sampling: Sampling) -> None:
    logits = torch.zeros(300)
    logits[[70, 71, 140, 299]] = 4.0
    assert draw_many(sampling, 200, logits)[70] == 200


@pytest.mark.parametrize(
    "sampling", [PLAIN, replace(PLAIN, top_k=4), replace(PLAIN, top_p=0.999), replace(PLAIN, min_p=1e-9)]
)
def test_impossible_tokens_are_never_drawn(sampling: Sampling) -> None:
    logits = torch.full((200,), -200.0)
    logits[[0, 130]] = 0.0
    assert draw_many(replace(sampling, temperature=0.1), 2000, logits)[[0, 130]].sum() == 2000


@pytest.mark.parametrize("sampling", [PLAIN, replace(PLAIN, top_k=2), replace(PLAIN, top_p=0.9), PENALTIES])
@pytest.mark.parametrize("temperature", [1e-4, 1.0, 1e300])
def test_scores_at_the_end_of_their_range_are_drawn_from(sampling: Sampling, temperature: float) -> None:
    logits = torch.tensor([[3e38, 3e38, -3e38, 0.0, 1.0, -1.0]])
    (token,) = tokens([draw(replace(sampling, temperature=temperature))], logits)
    assert token in ((0, 1) if temperature <= 1 else range(6))


@pytest.mark.parametrize("sampling", [*SETTINGS, GREEDY, replace(PLAIN, top_p=0.5, logprobs=5)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_has_no_token_and_leaves_the_others_alone(value: float, sampling: Sampling) -> None:
    for places in ([2], [140], slice(None), slice(1, None)):
        logits = WIDE.repeat(3, 1)
        logits[1, places] = value
        assert tokens([draw(GREEDY), draw(sampling), draw(GREEDY)], logits) == [0, None, 0]


def test_rows_that_are_not_finite_feed_a_token_that_exists_to_the_next_step() -> None:
    logits = WIDE.flip(0).repeat(2, 1)
    logits[0, 140] = math.nan
    sampled = Plan.of([draw(GREEDY)] * 2, 150, CPU).sample(logits)
    assert (sampled.tokens.tolist(), sampled.finite.tolist()) == ([0, 149], [False, True])


@pytest.mark.parametrize("vocab", [6, 64, 150, 640])
def test_what_weighs_nothing_is_not_drawn_even_at_the_ends_of_the_distribution(vocab: int) -> None:
    generator = torch.Generator().manual_seed(vocab)
    weights = torch.rand(300, vocab, generator=generator) * (torch.rand(300, vocab, generator=generator) < 0.1)
    weights[:, vocab // 2] += 1e-3
    ends = per_block(weights, torch.sum).double().cumsum(-1)
    for uniforms in (torch.rand(300, dtype=torch.float64, generator=generator), *(ends / ends[:, -1:]).T[:-1]):
        drawn = invert(weights, uniforms)
        assert (weights.gather(-1, drawn.unsqueeze(-1)) > 0).all()
    first, last = (weights > 0).int().argmax(-1), vocab - 1 - (weights.flip(-1) > 0).int().argmax(-1)
    assert torch.equal(invert(weights, torch.zeros(300, dtype=torch.float64)), first)
    assert torch.equal(invert(weights, torch.full((300,), 1 - 2.0**-52, dtype=torch.float64)), last)


@pytest.mark.parametrize("vocab", [6, 64, 70, 640])
def test_the_best_are_the_best_wherever_they_are(vocab: int) -> None:
    scores = torch.linspace(-1.0, 1.0, vocab).repeat(2, 1)
    scores[0] = scores[0].flip(0)
    for count in (1, 5, vocab):
        values, ids = best(scores, per_block(scores, torch.amax), torch.arange(2), count)
        assert torch.equal(values, scores.topk(count).values)
        assert ids.tolist() == [list(range(count)), list(range(vocab - 1, vocab - 1 - count, -1))]


def test_a_temperature_without_end_leaves_all_scores_alike() -> None:
    logits = torch.tensor([3e38, 3e38, -3e38, 0.0, 1.0, -1.0])
    counts = draw_many(replace(PLAIN, temperature=1e300), 400, logits)
    assert set(np.flatnonzero(counts)) == {0, 1, 3, 4, 5}  # 6e38 below the best is infinitely far


def test_no_draws_are_no_tokens() -> None:
    assert sample([], torch.zeros(0, 100)) == []


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.7])
def test_a_repetition_penalty_is_that_of_transformers(penalty: float) -> None:
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(3))
    theirs = oracle.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([HISTORY] * 5), logits.clone())
    assert tokens([draw(replace(GREEDY, repetition_penalty=penalty))] * 5, logits) == theirs.argmax(-1).tolist()
    ours = penalized(replace(GREEDY, repetition_penalty=penalty), logits)
    assert torch.equal(ours, theirs)


def test_presence_and_frequency_count_the_answer_alone() -> None:
    logits = torch.zeros(1, 8)
    changed = penalized(replace(GREEDY, presence_penalty=0.5, frequency_penalty=0.25), logits)
    # The answer is 1, 0, 0, 5; the prompt 0, 1, 2, 2.
    assert changed.tolist() == [[-1.0, -0.75, 0.0, 0.0, 0.0, -0.75, 0.0, 0.0]]


def penalized(sampling: Sampling, logits: torch.Tensor) -> torch.Tensor:
    scores = logits.clone()
    Plan.of([draw(sampling)] * len(logits), logits.shape[-1], CPU).sample(scores)
    return scores


@pytest.mark.parametrize("value", [1e-300, 1e300])
def test_extreme_penalties_make_no_score_infinite(value: float) -> None:
    sampling = replace(GREEDY, repetition_penalty=value)
    assert tokens([draw(sampling)], torch.tensor([[0.0, 5.0, -5.0, 1.0, 1.5, 3.0]])) == [1 if value < 1 else 4]


def test_a_resumed_answer_is_penalized_as_the_one_before() -> None:
    sampling = replace(PENALTIES, seed=9, presence_penalty=2.0, frequency_penalty=2.0)
    running = Request("r", tuple(HISTORY[:4]), 0, 100, frozenset(), sampling)
    resumed = replace(running, token_ids=tuple(HISTORY), answered=4)
    draws = [next_draw(running, HISTORY[4:]), next_draw(resumed, [])]
    scores = torch.randn(1, 30, generator=torch.Generator().manual_seed(5)).repeat(2, 1)
    unchanged = scores[0].clone()
    first, second = Plan.of(draws, 30, CPU).sample(scores).read()
    assert first == second
    assert torch.equal(*scores)
    assert not torch.equal(scores[0], unchanged)


def next_draw(request: Request, answer: list[int]) -> Draw:
    """The draw that follows when the tokens of `answer` were drawn."""
    scheduler = Scheduler(blocks=8, capacity=2, window=64, step_tokens=64)
    scheduler.add(request)
    for token in answer:
        scheduler.update(scheduler.schedule(0.0), [Drawn(token)])
    (found,) = scheduler.schedule(0.0).draws
    return found


@pytest.mark.parametrize("sampling", [GREEDY, PLAIN, PENALTIES, replace(PENALTIES, top_k=3, temperature=0.3)])
def test_logprobs_are_of_the_scores_as_they_were(sampling: Sampling) -> None:
    logits = torch.randn(4, 150, generator=torch.Generator().manual_seed(2)) * 3
    meant = logits.log_softmax(dim=-1)
    counts = [0, 3, None, 20]
    told = sample([draw(replace(sampling, logprobs=count)) for count in counts], logits)
    for row, (count, drawn) in enumerate(zip(counts, told, strict=True)):
        assert drawn
        if count is None:
            assert (drawn.logprob, drawn.best) == (None, ())
            continue
        values, ids = meant[row].topk(count)
        assert drawn.logprob == pytest.approx(float(meant[row, drawn.token_id]), rel=1e-5, abs=1e-6)
        assert [token for token, _ in drawn.best] == ids.tolist()
        assert [value for _, value in drawn.best] == pytest.approx(values.tolist(), rel=1e-5, abs=1e-6)


def test_logprobs_of_a_small_vocabulary_are_all_there_are() -> None:
    (drawn,) = sample([draw(replace(GREEDY, logprobs=20))], LOGITS.unsqueeze(0))
    assert drawn
    assert [token for token, _ in drawn.best] == list(range(6))
    assert sum(math.exp(value) for _, value in drawn.best) == pytest.approx(1.0)


def test_logprobs_are_numbers_even_where_scores_are_far_apart() -> None:
    (drawn,) = sample([draw(replace(GREEDY, logprobs=20))], torch.tensor([[3e38, -3e38, 0.0]]))
    assert drawn
    assert all(math.isfinite(value) for _, value in drawn.best)


def test_lists_of_tokens_may_grow_once_the_plan_is_made() -> None:
    history = list(HISTORY)
    plan = Plan.of([Draw(replace(GREEDY, repetition_penalty=2.0), 4, history, 4)], 6, CPU)
    history.append(3)
    assert plan.sample(torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.6, 0.0]])).read() == [Drawn(3)]
