"""The chat log in Cassandra.

A message is one row of `messages`; beside it stand a row that finds it by id, one that makes it a child of its parent,
and, once for 5,000 seqs, one that says that its bucket is in use. They are written side by side and may be cut short by
a crash. Then `append` has not returned: the message's generation still owes it, and whoever reads the conversation
pays first. Repeating it writes the same rows (`codec.MirroredClock`). The bucket comes before the messages in it, so
that whoever deletes the conversation finds all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from itertools import chain

from parley_conversation.adapters.cassandra.codec import (
    MirroredClock,
    bucket_of,
    from_message,
    from_parent,
    to_message,
    to_parent,
)
from parley_conversation.adapters.cassandra.deletion import delete_conversation
from parley_conversation.adapters.cassandra.heads import Heads
from parley_conversation.adapters.cassandra.queries import (
    GET_BUCKETS,
    GET_CHILDREN,
    GET_MESSAGES,
    GET_PAGE,
    GET_PLACE,
    PUT_BUCKET,
    PUT_CHILD,
    PUT_MESSAGE,
    PUT_PLACE,
)
from parley_conversation.adapters.cassandra.session import Session, patience
from parley_conversation.domain.conversation import Message
from parley_kit.tasks import both, gather_all

ABOVE_ALL = 2**62
LONGEST_ID = 1000
"""In characters; a key of Cassandra holds 65,535 bytes. No id is as long."""
BUCKETS_AT_ONCE = 2
ROWS_AT_ONCE = 50
"""Of the longest messages these are 20 MB, which a node can answer in time; of 200 it could not."""
ENOUGH_TEXT = 2_000_000
"""In characters: more than a page of the API may hold."""


class CassandraChatLog:
    def __init__(self, session: Session, clock: MirroredClock) -> None:
        self._session = session
        self._clock = clock
        self._heads = Heads()

    async def append(self, message: Message) -> None:
        async with patience():
            bucket, at = bucket_of(message.seq), self._clock.next()
            known = self._heads.get(message.conversation_id)
            if known is None or bucket_of(known) != bucket:
                await self._session.run(PUT_BUCKET, message.conversation_id, bucket, at)
            self._heads.rise(message.conversation_id, message.seq)
            await gather_all(self._write(message, bucket, at))

    def _write(self, message: Message, bucket: int, at: int) -> Iterable[Awaitable[object]]:
        conversation_id, parent, run = message.conversation_id, message.parent_seq, self._session.run
        yield run(PUT_MESSAGE, conversation_id, bucket, *from_message(message), at)
        yield run(PUT_PLACE, message.id, conversation_id, message.seq, at)
        yield run(PUT_CHILD, conversation_id, bucket_of(parent), from_parent(parent), message.seq, message.id, at)

    async def before(self, conversation_id: str, seq: int | None, most: int) -> Sequence[Message]:
        """Fewer than `most` also where they come to more than ENOUGH_TEXT, but never none that are there."""
        found: list[Message] = []
        async with patience():
            while len(found) < most and sum(len(message.content) for message in found) < ENOUGH_TEXT:
                asked = min(most - len(found), ROWS_AT_ONCE)
                part = await self._portion(conversation_id, found[-1].seq if found else seq, asked)
                found += part
                if len(part) < asked:
                    break
        return found

    async def _portion(self, conversation_id: str, seq: int | None, most: int) -> list[Message]:
        """Exactly `most`, if there are as many."""
        if seq is None:
            found, lowest = await self._newest(conversation_id, most)
        else:
            found, lowest = await self._below(conversation_id, min(max(seq, 1), ABOVE_ALL), most)
        while len(found) < most and lowest > 0:
            buckets = await self._buckets(conversation_id, lowest - 1, BUCKETS_AT_ONCE)
            if not buckets:
                break
            found += await self._page(conversation_id, buckets, ABOVE_ALL, most)
            lowest = buckets[-1]
        return found[:most]

    async def _newest(self, conversation_id: str, most: int) -> tuple[list[Message], int]:
        """What lies in the highest bucket, and the lowest that was read.

        What this process knows to be the highest is read while the true one is looked up: another may have begun it.
        """
        guess = _span(self._heads.get(conversation_id) or 0, most)
        buckets, found = await both(
            self._buckets(conversation_id, bucket_of(ABOVE_ALL), 1),
            self._page(conversation_id, guess, ABOVE_ALL, most),
        )
        head = buckets[0] if buckets else 0
        if head != guess[0]:
            guess = range(head, max(head - 2, -1), -1)
            found = await self._page(conversation_id, guess, ABOVE_ALL, most)
        if found:
            self._heads.rise(conversation_id, found[0].seq)
        return found, guess[-1]

    async def _below(self, conversation_id: str, border: int, most: int) -> tuple[list[Message], int]:
        """What lies right below the border, and the lowest bucket that was read."""
        buckets = _span(border - 1, most)
        return await self._page(conversation_id, buckets, border, most), buckets[-1]

    async def _page(self, conversation_id: str, buckets: Sequence[int], border: int, most: int) -> list[Message]:
        """Up to `most` of each bucket, read side by side."""
        rows = await gather_all(
            self._session.run(GET_PAGE, conversation_id, bucket, border, most) for bucket in buckets
        )
        return [to_message(conversation_id, row) for row in chain.from_iterable(rows)]

    async def _buckets(self, conversation_id: str, highest: int, most: int) -> Sequence[int]:
        """Buckets that may hold messages, the highest first."""
        return [row[0] for row in await self._session.run(GET_BUCKETS, conversation_id, highest, most)]

    async def get(self, conversation_id: str, seqs: Sequence[int]) -> Sequence[Message]:
        async with patience():
            return await self._get(conversation_id, seqs)

    async def _get(self, conversation_id: str, seqs: Iterable[int]) -> list[Message]:
        wanted = _by_bucket(seq for seq in set(seqs) if 0 < seq < ABOVE_ALL)
        pages = await gather_all(
            self._session.run(GET_MESSAGES, conversation_id, bucket, sorted(some)) for bucket, some in wanted.items()
        )
        return sorted((to_message(conversation_id, row) for row in chain(*pages)), key=lambda message: message.seq)

    async def locate(self, message_ids: Sequence[str]) -> Sequence[Message]:
        async with patience():
            ids = {each for each in message_ids if 0 < len(each) <= LONGEST_ID}
            seqs: dict[str, list[int]] = {}
            for conversation_id, seq in chain(*await gather_all(self._session.run(GET_PLACE, each) for each in ids)):
                seqs.setdefault(conversation_id, []).append(seq)
            found = chain(*await gather_all(self._get(conversation_id, some) for conversation_id, some in seqs.items()))
            return [message for message in found if message.id in ids]

    async def siblings(
        self, conversation_id: str, parent_seqs: Sequence[int | None]
    ) -> Mapping[int | None, Sequence[str]]:
        async with patience():
            found: dict[int | None, list[str]] = {parent: [] for parent in parent_seqs}
            pages = await gather_all(
                self._session.run(GET_CHILDREN, conversation_id, bucket, sorted(some))
                for bucket, some in _by_bucket(map(from_parent, found)).items()
            )
            for parent, message_id in chain(*pages):
                found[to_parent(parent)].append(message_id)
            return found

    async def delete(self, conversation_id: str) -> None:
        self._heads.forget(conversation_id)
        await delete_conversation(self._session, conversation_id)


def _span(top: int, most: int) -> range:
    """The buckets of `most` seqs without gaps, `top` the highest: the highest bucket first."""
    return range(bucket_of(top), bucket_of(max(top - most + 1, 0)) - 1, -1)


def _by_bucket(seqs: Iterable[int]) -> Mapping[int, list[int]]:
    buckets: dict[int, list[int]] = {}
    for seq in seqs:
        buckets.setdefault(bucket_of(seq), []).append(seq)
    return buckets
