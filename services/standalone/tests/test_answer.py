"""What a reader holds of an answer."""

from __future__ import annotations

import pytest

from parley_kit.errors import Internal
from parley_standalone.client import Answer, Delta, Finished, Restarted

END = Finished("COMPLETED", "STOP", "id", "text", 2, None)


def test_an_answer_grows_by_code_points() -> None:
    answer = Answer("id")
    for event in (Delta(0, "añ👩‍🚀", 1), Delta(5, "!", 1), END):
        answer.apply(event)
    assert (answer.text, answer.after, answer.attempt, answer.finished) == ("añ👩‍🚀!", 6, 1, END)


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_a_gap_or_an_overlap_is_refused(offset: int) -> None:
    answer = Answer("id")
    answer.apply(Delta(0, "ab", 1))
    with pytest.raises(Internal):
        answer.apply(Delta(offset, "c", 1))


def test_a_restart_forgets_the_text() -> None:
    answer = Answer("id")
    for event in (Delta(0, "old", 1), Restarted(2), Delta(0, "new", 2)):
        answer.apply(event)
    assert (answer.text, answer.after, answer.attempt) == ("new", 3, 2)
