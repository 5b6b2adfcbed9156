"""The highest seq of the conversations used last: a hint that saves questions, never the truth."""

from __future__ import annotations

from collections import OrderedDict

MOST = 50_000


class Heads:
    """The bucket of a seq in here has its row in `buckets`, unless the conversation was deleted meanwhile."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seqs: OrderedDict[str, int] = OrderedDict()

    def get(self, conversation_id: str) -> int | None:
        return self._seqs.get(conversation_id)

    def rise(self, conversation_id: str, seq: int) -> None:
        """The conversation has this seq; keep the highest. The conversation used longest ago makes room."""
        self._seqs[conversation_id] = max(seq, self._seqs.get(conversation_id, 0))
        self._seqs.move_to_end(conversation_id)
        if len(self._seqs) > self._most:
            self._seqs.popitem(last=False)

    def forget(self, conversation_id: str) -> None:
        self._seqs.pop(conversation_id, None)
