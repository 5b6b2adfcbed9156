"""Conversations: create, read, list, change, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from parley_conversation.catalogue import Catalogue
from parley_conversation.cursor import parse_conversation_cursor
from parley_conversation.domain.conversation import Conversation
from parley_conversation.domain.pages import fitting
from parley_conversation.domain.rules import (
    Sizes,
    check_page,
    check_search,
    check_system_prompt,
    check_title,
)
from parley_conversation.domain.title import UNTITLED
from parley_conversation.facts import Facts
from parley_conversation.handlers.access import Access
from parley_conversation.handlers.generations import GenerationHandlers
from parley_conversation.ports import ConversationChanges, ConversationQuery, Stores
from parley_kit.clock import Clock
from parley_kit.errors import NotFound, Retryable
from parley_kit.ids import new_id
from parley_kit.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConversationPage:
    conversations: Sequence[Conversation]
    has_next: bool


class ConversationHandlers:
    def __init__(
        self,
        stores: Stores,
        access: Access,
        generations: GenerationHandlers,
        catalogue: Catalogue,
        facts: Facts,
        clock: Clock,
        sizes: Sizes,
    ) -> None:
        self._conversations = stores.conversations
        self._access = access
        self._generations = generations
        self._catalogue = catalogue
        self._facts = facts
        self._clock = clock
        self._sizes = sizes

    async def create(
        self, owner_id: str, title: str | None, model: str | None, system_prompt: str | None
    ) -> Conversation:
        """Raises BadInput, or Unavailable when no model is known."""
        await self._check(title, model, system_prompt)
        now = self._clock.now()
        conversation = Conversation(
            id=new_id(),
            owner_id=owner_id,
            title=_title(title) or UNTITLED,
            model=model if model is not None else await self._catalogue.default(),
            system_prompt=system_prompt or None,
            archived=False,
            created_at=now,
            updated_at=now,
        )
        await self._conversations.insert(conversation)
        await _tell(self._facts.conversation_updated(conversation))
        return conversation

    async def get(self, owner_id: str, conversation_id: str) -> Conversation:
        return await self._access.conversation(owner_id, conversation_id)

    async def list(
        self, owner_id: str, first: int, after: str | None, archived: bool, search: str | None
    ) -> ConversationPage:
        """Newest activity first. `search`: all its words, in the title or the messages; blank is no search."""
        check_page(first, "first")
        check_search(search or "")
        query = ConversationQuery(
            owner_id=owner_id,
            archived=archived,
            first=first + 1,
            after=parse_conversation_cursor(after) if after is not None else None,
            search=search if search and search.strip() else None,
        )
        found = await self._conversations.find(query)
        page = fitting(found[:first], lambda conversation: conversation.system_prompt or "")
        return ConversationPage(page, has_next=len(found) > len(page))

    async def update(self, owner_id: str, conversation_id: str, changes: ConversationChanges) -> Conversation:
        """A blank title takes the given one away."""
        await self._check(changes.title, changes.model, changes.system_prompt)
        await self._access.conversation(owner_id, conversation_id)
        cleaned = ConversationChanges(_title(changes.title), changes.archived, changes.model, changes.system_prompt)
        conversation = await self._conversations.update(conversation_id, cleaned, self._clock.now())
        if conversation is None:
            raise NotFound("there is no such conversation")
        await _tell(self._facts.conversation_updated(conversation))
        return conversation

    async def delete(self, owner_id: str, conversation_id: str) -> None:
        """It and all below it are gone once this returns; answers in the making are stopped, rows purged later."""
        await self._access.conversation(owner_id, conversation_id)
        if not await self._conversations.delete(conversation_id):
            raise NotFound("there is no such conversation")
        await self._generations.abandon(conversation_id)
        await _tell(self._facts.conversation_deleted(conversation_id, owner_id))

    async def _check(self, title: str | None, model: str | None, system_prompt: str | None) -> None:
        check_title(title or "", self._sizes)
        check_system_prompt(system_prompt or "", self._sizes)
        if model is not None:
            await self._catalogue.check(model)


def _title(title: str | None) -> str | None:
    return title if title is None or title.strip() else UNTITLED


async def _tell(publication: Awaitable[None]) -> None:
    """Best effort: projections of titles catch up with the next change; messages are what the outbox guarantees."""
    try:
        await publication
    except Retryable as error:
        log.warning("fact_not_published", reason=error.message)
