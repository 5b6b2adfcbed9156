"""The chat log: pages, branches, deletion."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from parley_conversation.domain.conversation import Message, Role
from parley_conversation.ports import ChatLog
from parley_conversation.testing.harness import StoresHarness, ids, message
from parley_kit.ids import new_id

BORDER = 5000


class LogContract(StoresHarness):
    async def test_what_was_appended_is_read(self, chat_log: ChatLog) -> None:
        """Every field comes back as it was."""
        answer = message(
            new_id(),
            2,
            parent_seq=1,
            generation_id=new_id(),
            model="scripted",
            finish_reason="length",
            prompt_tokens=7,
            completion_tokens=0,
        )
        answer = replace(answer, role=Role.ASSISTANT)
        await chat_log.append(answer)
        assert await chat_log.before(answer.conversation_id, None, 10) == [answer]

    async def test_content_is_kept_byte_for_byte(self, chat_log: ChatLog) -> None:
        """Blanks at the ends, U+0000, every newline, combining signs, emoji, 100,000 code points."""
        contents = [
            "  \r\n\t x \n",
            "a\0b\0",
            "e\u0301 \ufeff\u2028",
            "👩‍👩‍👧‍👦",
            "😀" * 100_000,
            "'; DROP TABLE messages; --",
        ]
        made = _messages(contents)
        await _append(chat_log, made)
        assert await chat_log.get(made[0].conversation_id, [each.seq for each in made]) == made

    async def test_the_first_write_of_a_seq_stays(self, chat_log: ChatLog) -> None:
        """A second append changes nothing, whatever it says, and also when both come at once."""
        first = message(new_id(), 1, "first")
        await chat_log.append(first)
        await asyncio.gather(*(chat_log.append(message(first.conversation_id, 1, "second")) for _ in range(5)))
        assert await chat_log.before(first.conversation_id, None, 10) == [first]
        await chat_log.append(first)
        assert await chat_log.before(first.conversation_id, None, 10) == [first]

    async def test_pages_go_backwards_from_the_newest(self, chat_log: ChatLog) -> None:
        """Newest first, only lower seqs, at most as many as asked for, over gaps."""
        made = _messages("abcdef", step=3)
        await _append(chat_log, made)
        conversation_id = made[0].conversation_id
        assert await chat_log.before(conversation_id, None, 2) == [made[5], made[4]]
        assert await chat_log.before(conversation_id, made[4].seq, 2) == [made[3], made[2]]
        assert await chat_log.before(conversation_id, made[4].seq - 1, 2) == [made[3], made[2]]
        assert await chat_log.before(conversation_id, made[1].seq, 9) == [made[0]]
        assert await chat_log.before(conversation_id, made[0].seq, 9) == []
        assert await chat_log.before(new_id(), None, 9) == []

    async def test_pages_cross_the_borders_of_buckets(self, chat_log: ChatLog) -> None:
        """From any place around a border, and over a bucket that holds nothing."""
        conversation_id = new_id()
        seqs = [*range(BORDER - 10, BORDER + 11), 3 * BORDER - 1, 3 * BORDER]
        made = [message(conversation_id, seq) for seq in seqs]
        await _append(chat_log, made)
        for border in (None, 3 * BORDER, 2 * BORDER, BORDER + 5, BORDER + 1, BORDER, BORDER - 1, BORDER - 10):
            below = [each for each in made if border is None or each.seq < border]
            assert await chat_log.before(conversation_id, border, 12) == below[::-1][:12]
        assert await chat_log.get(conversation_id, [BORDER - 1, BORDER]) == [made[9], made[10]]

    async def test_get_leaves_out_what_is_absent(self, chat_log: ChatLog) -> None:
        """And what is another conversation's; each once."""
        mine, other = _messages("ab"), _messages("cd")
        await _append(chat_log, mine + other)
        found = await chat_log.get(mine[0].conversation_id, [2, 99, 1, 2])
        assert sorted(found, key=lambda each: each.seq) == mine
        assert await chat_log.get(mine[0].conversation_id, []) == []

    async def test_a_conversation_is_deleted_alone_and_whole(self, chat_log: ChatLog) -> None:
        """All of its buckets, and nothing of another's; a second deletion finds nothing to do."""
        conversation_id = new_id()
        mine = [message(conversation_id, seq) for seq in (1, 2, BORDER - 1, BORDER, 4 * BORDER)]
        others = _messages("xy")
        await _append(chat_log, mine + others)
        for _ in range(2):
            await chat_log.delete(conversation_id)
        assert await chat_log.before(conversation_id, None, 10) == []
        assert await chat_log.get(conversation_id, [1, BORDER]) == []
        assert await chat_log.locate(ids(mine)) == []
        assert await chat_log.siblings(conversation_id, [None]) == {None: []}
        assert await chat_log.before(others[0].conversation_id, None, 10) == others[::-1]


class BranchesContract(StoresHarness):
    async def test_locate_finds_messages_by_their_ids(self, chat_log: ChatLog) -> None:
        """In whatever conversations they are; absent ones are left out."""
        made = [message(new_id(), 1), message(new_id(), BORDER), message(new_id(), 7 * BORDER + 1)]
        await _append(chat_log, made)
        found = await chat_log.locate([made[2].id, new_id(), made[0].id, made[1].id, made[0].id])
        assert sorted(ids(found)) == sorted(ids(made))
        assert {each.id: each for each in found} == {each.id: each for each in made}
        assert await chat_log.locate([]) == []

    async def test_siblings_are_the_children_of_each_parent(self, chat_log: ChatLog) -> None:
        """Oldest first, across buckets; a parent without children has none; None is the parent of first messages."""
        conversation_id = new_id()
        tree = {1: None, 2: 1, 3: None, 4: 2, BORDER: 1, 3 * BORDER: 1}
        made = {seq: message(conversation_id, seq, parent_seq=parent) for seq, parent in tree.items()}
        await _append(chat_log, [made[seq] for seq in (BORDER, 3, 2, 1, 3 * BORDER, 4)])
        await chat_log.append(message(new_id(), 1))
        assert await chat_log.siblings(conversation_id, [1, None, 2, 4]) == {
            1: ids([made[2], made[BORDER], made[3 * BORDER]]),
            None: ids([made[1], made[3]]),
            2: [made[4].id],
            4: [],
        }
        assert await chat_log.siblings(conversation_id, []) == {}


async def _append(chat_log: ChatLog, messages: list[Message]) -> None:
    await asyncio.gather(*map(chat_log.append, messages))


def _messages(contents: str | list[str], step: int = 1) -> list[Message]:
    """One conversation that says these, from seq `step` on."""
    conversation_id = new_id()
    return [message(conversation_id, number * step, content) for number, content in enumerate(contents, 1)]
