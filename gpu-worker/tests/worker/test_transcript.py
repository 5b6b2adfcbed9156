"""However chunks and writes fall, the deltas are the answer without a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parley_live.base import Delta
from parley_worker.core import Prefix
from parley_worker.testing.streams import joined
from parley_worker.transcript import Transcript

CHUNKS = st.lists(st.tuples(st.text(max_size=4), st.lists(st.integers(0, 99), max_size=3), st.booleans()), max_size=40)


def drain(transcript: Transcript) -> list[Delta]:
    return [delta] if (delta := transcript.take()) else []


def play(transcript: Transcript, chunks: list[tuple[str, list[int], bool]]) -> list[Delta]:
    """Add the chunks; those that say so are followed by a write."""
    deltas: list[Delta] = []
    for text, token_ids, write in chunks:
        transcript.add(text, token_ids)
        if write:
            deltas += drain(transcript)
    return deltas + drain(transcript)


@given(CHUNKS)
def test_deltas_are_the_answer_without_a_gap(chunks: list[tuple[str, list[int], bool]]) -> None:
    transcript = Transcript(attempt=1)
    deltas = play(transcript, chunks)
    assert joined(deltas) == "".join(text for text, _, _ in chunks) == transcript.text
    tokens = [token for _, token_ids, _ in chunks for token in token_ids]
    streamed = [token for delta in deltas for token in delta.token_ids]
    assert streamed == tokens[: len(streamed)]
    assert transcript.tokens == len(tokens)


@given(CHUNKS, CHUNKS, st.integers(0, 5))
def test_a_successor_goes_on_after_what_was_streamed(
    chunks: list[tuple[str, list[int], bool]], more: list[tuple[str, list[int], bool]], repeated: int
) -> None:
    streamed = play(Transcript(attempt=1), chunks)
    retried = [copy for index, delta in enumerate(streamed) for copy in [delta] * (2 if index == repeated else 1)]
    successor = Transcript(attempt=2)
    prefix = successor.resume(retried)
    assert prefix.text == joined(streamed)
    assert list(prefix.token_ids) == [token for delta in streamed for token in delta.token_ids]
    rest = play(successor, more)
    assert joined(streamed + rest) == successor.text
    assert {delta.began for delta in rest} <= {1 if streamed else 2}


def test_only_the_text_that_was_begun_last_is_gone_on_with() -> None:
    transcript = Transcript(attempt=3)
    streamed = [Delta(1, 1, 0, "old ", (1,)), Delta(2, 2, 0, "new", (2,))]
    assert transcript.resume(streamed) == Prefix((2,), "new")
    assert transcript.began == 2


def test_a_stream_with_a_hole_is_begun_again() -> None:
    transcript = Transcript(attempt=2)
    assert transcript.resume([Delta(1, 1, 0, "a", (1,)), Delta(1, 1, 5, "b", (2,))]) == Prefix()
    assert (transcript.began, transcript.text) == (2, "")
