"""The engine's tokens become chunks, however many come at once."""

from __future__ import annotations

import pytest

from parley_worker.backends.pieces import Pieces
from parley_worker.core import Chunk, FinishReason, Usage
from parley_worker.scheduler.request import Output, Request
from parley_worker.testing.sampling import GREEDY
from parley_worker.text.answer import AnswerText

EOS = 99


class Letters:
    """Token 0 is a, 1 is b ..."""

    def push(self, token_id: int) -> str:
        return chr(ord("a") + token_id)

    def flush(self) -> str:
        return ""


def pieces(*, stop: tuple[str, ...] = (), answered: int = 0, pending: str = "") -> Pieces:
    request = Request(tuple(range(10 + answered)), answered, 50, frozenset({EOS}), GREEDY)
    return Pieces(request, AnswerText(Letters(), stop), pending)


def made(*tokens: int, reason: FinishReason | None = None, cached: int = 0) -> list[Output]:
    outputs = [Output("1", token) for token in tokens]
    outputs[0] = Output("1", tokens[0], outputs[0].finish_reason, cached_tokens=cached)
    return [*outputs[:-1], Output("1", tokens[-1], reason, cached_tokens=outputs[-1].cached_tokens)]


@pytest.mark.parametrize("groups", [[[0, 1, 2, 3]], [[0], [1, 2], [3]], [[0], [1], [2], [3]]])
def test_tokens_make_the_same_answer_however_they_are_grouped(groups: list[list[int]]) -> None:
    answer = pieces()
    chunks = [answer.add(made(*group, reason=FinishReason.LENGTH if 3 in group else None)) for group in groups]
    assert "".join(chunk.text for chunk in chunks) == "abcd"
    assert [chunk.token_ids for chunk in chunks] == [tuple(group) for group in groups]
    assert chunks[-1].finish_reason is FinishReason.LENGTH
    assert chunks[-1].usage == Usage(10, 4)
    assert chunks[0].usage == Usage(10, len(groups[0]))
    assert all(chunk.usage is None for chunk in chunks[1:-1])


def test_what_was_made_beyond_a_stop_string_is_dropped() -> None:
    assert pieces(stop=("bc",)).add(made(0, 1, 2, 3, 4)) == Chunk("a", (0, 1, 2), FinishReason.STOP, Usage(10, 3))


def test_the_eos_counts_but_has_no_text() -> None:
    assert pieces().add(made(0, EOS, reason=FinishReason.STOP)) == Chunk("a", (0, EOS), FinishReason.STOP, Usage(10, 2))


def test_the_first_token_tells_what_was_cached_and_the_last_chunk_tells_it_again() -> None:
    answer = pieces(answered=3, pending="still held back: ")
    first = answer.add(made(0, cached=8))
    assert first == Chunk("still held back: a", (0,), None, Usage(10, 4, 8))
    assert answer.add(made(1)).usage is None
    assert answer.add(made(2, reason=FinishReason.LENGTH)).usage == Usage(10, 6, 8)


def test_of_a_resumed_answer_only_the_prompt_counts_as_cached() -> None:
    assert pieces(answered=3).add(made(0, cached=12)).usage == Usage(10, 4, 10)
