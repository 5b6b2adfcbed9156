"""What the service needs of its stores. Single-document atomicity is all that is asked of them.

Every method raises `parley_kit.errors.Unavailable` while the store is away. What returned is durable: it survives the
kill of any process. Reads see every write that returned before they began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parley_conversation.domain.conversation import Conversation, Message
from parley_conversation.domain.generation import Generation, Outcome


@dataclass(frozen=True, slots=True)
class ConversationChanges:
    """None: as it is. `system_prompt` empty: none any more."""

    title: str | None = None
    archived: bool | None = None
    model: str | None = None
    system_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ConversationQuery:
    """`after`: (updated_at, id) of the last one seen. `search`: all its words, in the title or the messages."""

    owner_id: str
    archived: bool
    first: int
    after: tuple[datetime, str] | None = None
    search: str | None = None


class Conversations(Protocol):
    """A deleted conversation is absent for every method but `purgeable`, from the moment `delete` returned."""

    async def insert(self, conversation: Conversation) -> None: ...

    async def get(self, conversation_id: str) -> Conversation | None: ...

    async def get_many(self, conversation_ids: Sequence[str]) -> Sequence[Conversation]: ...

    async def find(self, query: ConversationQuery) -> Sequence[Conversation]:
        """Newest activity first, ties by id, at most `query.first`."""
        ...

    async def update(
        self, conversation_id: str, changes: ConversationChanges, now: datetime
    ) -> Conversation | None: ...

    async def reserve(self, conversation_id: str, count: int, now: datetime) -> int | None:
        """The first of `count` seqs that nobody else gets (from 1 on), moving updated_at. None: it is absent."""
        ...

    async def delete(self, conversation_id: str) -> bool:
        """Mark it deleted. False: it was absent."""
        ...

    async def purgeable(self, most: int) -> Sequence[str]:
        """Deleted conversations whose messages and generations may still exist somewhere."""
        ...

    async def purged(self, conversation_id: str) -> None:
        """All below it is gone: forget it."""
        ...

    async def entitle(self, conversation_id: str, title: str) -> None:
        """Give it this title unless it has one: an untitled conversation's title is empty. updated_at stays."""
        ...

    async def index(self, message: Message) -> None:
        """Make the message's words found by `find`. Idempotent by (conversation_id, seq)."""
        ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """A lease that still holds; `cancel` when a stop was asked for."""

    generation_id: str
    cancel: bool


class Generations(Protocol):
    """Each write is a compare-and-set on one document: of two racing writers one finds nothing to change."""

    async def insert(self, generation: Generation) -> Generation:
        """The commit point of a send. Returns what is stored.

        With a request_id known in its conversation nothing is written, and the first comes back.
        """
        ...

    async def find_request(self, conversation_id: str, request_id: str) -> Generation | None: ...

    async def get(self, generation_id: str) -> Generation | None: ...

    async def get_many(self, generation_ids: Sequence[str]) -> Sequence[Generation]: ...

    async def claim(
        self, generation_id: str, worker_id: str, now: datetime, lease_until: datetime
    ) -> Generation | None:
        """Take the lease: attempt + 1, RUNNING. Only if it is QUEUED, or RUNNING with its lease run out; in both cases
        no stop was asked for, attempts are left and the deadline lies ahead. None: refused."""
        ...

    async def renew(self, worker_id: str, leases: Mapping[str, int], lease_until: datetime) -> Sequence[Renewal]:
        """Push out the leases (generation id -> attempt) that are this worker's at that attempt and RUNNING.

        Never back: a heartbeat that was held up may arrive after the next one.
        """
        ...

    async def requeue(self, generation_id: str, attempt: int, now: datetime, handed_back: bool = False) -> bool:
        """RUNNING at `attempt` -> QUEUED without a lease, owing a RequestInference. False: it moved on.

        handed_back: count it as such, so that this attempt is not one of those that run out.
        """
        ...

    async def request_again(self, generation_id: str, now: datetime) -> bool:
        """QUEUED still: owe one more RequestInference, queued_at = now. False: it moved on."""
        ...

    async def request_cancel(self, generation_id: str, now: datetime) -> Generation | None:
        """Note the stop, once; the document as it is then. None: it is absent or terminal."""
        ...

    async def finish(self, generation_id: str, attempt: int, outcome: Outcome) -> Generation | None:
        """QUEUED or RUNNING at `attempt` -> terminal, replacing the outbox's RequestInference. None: it moved on."""
        ...

    async def fence(self, generation_id: str, attempt: int) -> Generation | None:
        """QUEUED or RUNNING at `attempt`: raise it by one and take the lease away, so that the holder's end is refused.

        None: it moved on or is terminal.
        """
        ...

    async def settle(self, generation_id: str, debt_ids: Sequence[str], answer_stored: bool = False) -> None:
        """Take paid debts out of the outbox. Idempotent. answer_stored: the answer's AppendMessage was among them."""
        ...

    async def active(self, owner_id: str) -> tuple[int, int]:
        """How many are QUEUED or RUNNING: the owner's, and everybody's."""
        ...

    async def overdue(
        self, now: datetime, unclaimed_since: datetime, cancelled_since: datetime, most: int
    ) -> Sequence[Generation]:
        """Not terminal, and: past the deadline, or the lease ran out, or queued before `unclaimed_since` and never
        claimed since, or a stop asked for before `cancelled_since`."""
        ...

    async def indebted(self, since: datetime, most: int) -> Sequence[Generation]:
        """With a debt in the outbox, last changed before `since`."""
        ...

    async def unsettled(self, conversation_id: str) -> Sequence[Generation]:
        """Those of the conversation that are not terminal, or that still owe something; the oldest user_seq first."""
        ...

    async def delete_of(self, conversation_id: str) -> None: ...


class ChatLog(Protocol):
    """The messages. Laid out in buckets of 5,000 seqs, so that the last page costs the same however long the log is."""

    async def append(self, message: Message) -> None:
        """Idempotent by (conversation_id, seq): the first write stays."""
        ...

    async def before(self, conversation_id: str, seq: int | None, most: int) -> Sequence[Message]:
        """Up to `most` messages with a lower seq (None: from the newest on), newest first."""
        ...

    async def get(self, conversation_id: str, seqs: Sequence[int]) -> Sequence[Message]: ...

    async def locate(self, message_ids: Sequence[str]) -> Sequence[Message]:
        """The messages of these ids, in any order; absent ones are left out."""
        ...

    async def siblings(
        self, conversation_id: str, parent_seqs: Sequence[int | None]
    ) -> Mapping[int | None, Sequence[str]]:
        """For each parent (None: the first messages) the ids of its children, oldest first."""
        ...

    async def delete(self, conversation_id: str) -> None:
        """By whole partitions."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that some worker announced. seen_at: the last heartbeat that named it."""

    name: str
    context_length: int
    seen_at: datetime


class Models(Protocol):
    async def announce(self, model: ServedModel) -> None:
        """A heartbeat: the newest of a model stays, whichever worker sent it."""
        ...

    async def served(self) -> Sequence[ServedModel]:
        """Every model ever announced, with its newest heartbeat."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """All that an adapter opens."""

    conversations: Conversations
    generations: Generations
    chat_log: ChatLog
    models: Models
