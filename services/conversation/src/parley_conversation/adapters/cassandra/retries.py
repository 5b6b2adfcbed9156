"""Which failed requests the driver sends again by itself."""

from __future__ import annotations

from typing import Any

from cassandra.policies import RetryPolicy

Decision = tuple[int, int | None]


class RepeatIdempotent(RetryPolicy):  # type: ignore[misc] # the driver is untyped
    """Once more on the next node, and only what may be done twice: the rest cannot know whether it was done.

    Each answer is (what to do, consistency level); None keeps the level: a quorum is never traded for an answer.
    """

    def on_read_timeout(self, query: Any, *args: Any, retry_num: int, **others: Any) -> Decision:
        return self._decide(query, retry_num)

    def on_write_timeout(self, query: Any, *args: Any, retry_num: int, **others: Any) -> Decision:
        return self._decide(query, retry_num)

    def on_unavailable(self, query: Any, *args: Any, retry_num: int, **others: Any) -> Decision:
        return self._decide(query, retry_num)

    def on_request_error(self, query: Any, *args: Any, retry_num: int, **others: Any) -> Decision:
        return self._decide(query, retry_num)

    def _decide(self, query: Any, retry_num: int) -> Decision:
        if retry_num == 0 and query is not None and query.is_idempotent:
            return self.RETRY_NEXT_HOST, None
        return self.RETHROW, None
