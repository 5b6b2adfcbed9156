"""What the model is shown of a conversation: the branch up to the question, cut from its oldest end.

The cut here is a rough one, by characters, that bounds the record on the bus; the worker cuts exactly, by tokens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from parley_conversation.domain.conversation import Message, Role

CHARACTERS_PER_TOKEN = 8
MAX_CHARACTERS = 200_000
"""At four bytes a character, 800 kB: under the megabyte that a broker takes by default."""


@dataclass(frozen=True, slots=True)
class Prompt:
    role: Role
    content: str


def room(context_length: int) -> int:
    """Characters that a prompt for this window may have: generous, as a token is rarely longer than 8."""
    return min(context_length * CHARACTERS_PER_TOKEN, MAX_CHARACTERS)


async def assemble(system_prompt: str | None, newest_first: AsyncIterator[Message], characters: int) -> list[Prompt]:
    """The prompt, oldest first: the system prompt, then as many of the newest messages as fit.

    The newest message is always there, cut from its own oldest end if it alone is too long; a system prompt gets at
    most half of the room.
    """
    system = [Prompt(Role.SYSTEM, system_prompt[: characters // 2])] if system_prompt else []
    left = characters - _size(system)
    newest: list[Prompt] = []
    async for message in newest_first:
        if newest and len(message.content) > left:
            break
        newest.append(Prompt(message.role, message.content[-left:]))
        left -= len(newest[-1].content)
        if left <= 0:
            break
    return system + newest[::-1]


def _size(prompts: Iterable[Prompt]) -> int:
    return sum(len(prompt.content) for prompt in prompts)
