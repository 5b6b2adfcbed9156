"""The deletion of a conversation, partition by partition, in steps that a repetition goes on from.

Deleting a partition also fences it: appends carry times below every deletion's (`codec.MirroredClock`), so one that was
on its way arrives at nothing. Every bucket from 0 to one above the highest is deleted, also where nothing is known:
no late append of this conversation can lie higher, since seqs are reserved one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from parley_conversation.adapters.cassandra.codec import bucket_of
from parley_conversation.adapters.cassandra.queries import (
    DELETE_BUCKET,
    DELETE_BUCKETS,
    DELETE_CHILDREN,
    DELETE_FROM,
    DELETE_MESSAGES,
    DELETE_PLACE,
    GET_BUCKETS,
    GET_IDS,
)
from parley_conversation.adapters.cassandra.session import BATCH, Row, Session
from parley_kit.tasks import gather_all

PORTION = 250
"""Messages that one step forgets: few enough that a caller with little time gets on."""
_HIGHEST = bucket_of(2**62)


async def delete_conversation(session: Session, conversation_id: str) -> None:
    """From the highest bucket down. Raises Unavailable; what is left then is found again by the next call."""
    highest = await session.run(GET_BUCKETS, conversation_id, _HIGHEST, 1)
    above = highest[0][0] + 1 if highest else 1
    for bucket in range(above, -1, -1):
        await _delete_bucket(session, conversation_id, bucket)
    await session.run(DELETE_BUCKETS, conversation_id)


async def _delete_bucket(session: Session, conversation_id: str, bucket: int) -> None:
    """The ids first, while the messages still tell them; the mark that the bucket is in use last."""
    newest_first = await session.run(GET_IDS, conversation_id, bucket)
    for portion in _portions(newest_first, PORTION):
        batches = _portions([(message_id,) for _, message_id in portion], BATCH)
        await gather_all(session.run_batch(DELETE_PLACE, batch) for batch in batches)
        await session.run(DELETE_FROM, conversation_id, bucket, portion[-1][0])
    await gather_all(session.run(query, conversation_id, bucket) for query in (DELETE_MESSAGES, DELETE_CHILDREN))
    await session.run(DELETE_BUCKET, conversation_id, bucket)


def _portions(rows: Sequence[Row], size: int) -> Iterable[Sequence[Row]]:
    return (rows[first : first + size] for first in range(0, len(rows), size))
