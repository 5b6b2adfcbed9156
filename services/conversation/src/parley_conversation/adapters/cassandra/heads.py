"""The highest bucket of the conversations used last: a hint that saves a question, never the truth."""

from __future__ import annotations

from collections import OrderedDict

MOST = 50_000


class Heads:
    """A bucket in here has its row in `buckets`, unless the conversation was deleted meanwhile."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._buckets: OrderedDict[str, int] = OrderedDict()

    def get(self, conversation_id: str) -> int | None:
        return self._buckets.get(conversation_id)

    def rise(self, conversation_id: str, bucket: int) -> None:
        """The conversation has this bucket; keep the highest. The conversation used longest ago makes room."""
        self._buckets[conversation_id] = max(bucket, self._buckets.get(conversation_id, 0))
        self._buckets.move_to_end(conversation_id)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def forget(self, conversation_id: str) -> None:
        self._buckets.pop(conversation_id, None)
