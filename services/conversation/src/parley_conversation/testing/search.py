"""Search over titles and messages."""

from __future__ import annotations

import asyncio

import pytest

from parley_conversation.ports import ConversationChanges, ConversationQuery, Conversations
from parley_conversation.testing.harness import StoresHarness, after, conversation, ids, message
from parley_kit.ids import new_id


class SearchContract(StoresHarness):
    async def test_all_words_are_needed(self, conversations: Conversations) -> None:
        """In any order, one in the title and another in a message."""
        owner, both = await _talk(conversations, "Holiday plans", "We fly to Lisbon in May.")
        await _talk(conversations, "Holiday", "We stay at home.", owner)
        assert await _search(conversations, owner, "lisbon holiday") == [both]
        assert await _search(conversations, owner, "lisbon holiday june") == []

    async def test_case_and_accents_do_not_matter(self, conversations: Conversations) -> None:
        """Neither in what is sought nor in what is stored, composed or not."""
        owner, found = await _talk(conversations, "ÉTÉ à Zürich", "Straße ΣΊΣΥΦΟΣ Ёлка")
        for words in ("été", "ETE zurich", "E\u0301TE\u0301", "STRASSE", "straße", "σίσυφος", "ёлка", "ЁЛКА"):
            assert await _search(conversations, owner, words) == [found], words

    async def test_the_last_word_may_be_a_beginning(self, conversations: Conversations) -> None:
        """As one types; the words before it are whole."""
        owner, found = await _talk(conversations, "", "Photosynthesis in algae")
        for words in ("p", "ph", "photosyn", "algae photo", "photosynthesis a"):
            assert await _search(conversations, owner, words) == [found], words
        assert await _search(conversations, owner, "photo algae") == []
        assert await _search(conversations, owner, "synthesis") == []

    async def test_short_words_and_numbers_are_words(self, conversations: Conversations) -> None:
        """C, Go, R2 and 42 too."""
        owner, found = await _talk(conversations, "", "C or Go? R2 is 42.")
        for words in ("c", "go", "r2", "42", "C GO"):
            assert await _search(conversations, owner, words) == [found], words

    async def test_scripts_without_spaces_are_searched_inside(self, conversations: Conversations) -> None:
        """A word may stand anywhere in a run of Chinese, Japanese or Thai, its signs together and in order."""
        owner, found = await _talk(conversations, "", "我想去東京旅行。 カタカナ ภาษาไทยง่าย 안녕하세요")
        for words in ("東京", "東", "旅行", "タカ", "ไทย", "안녕", "京旅"):
            assert await _search(conversations, owner, words) == [found], words
        for words in ("京東", "東旅"):
            assert await _search(conversations, owner, words) == [], words

    @pytest.mark.parametrize("words", ["rust*", '"rust', "(rust", "-rust", "^rust", "\0rust", "{rust}:", "rust;--"])
    async def test_signs_are_never_syntax(self, conversations: Conversations, words: str) -> None:
        """They only separate words."""
        owner, found = await _talk(conversations, "", "I write rust.")
        assert await _search(conversations, owner, words) == [found]

    @pytest.mark.parametrize("words", ["OR rust", "go OR rust", "NOT rust", "NEAR(rust)", "text:rust", "text : rust"])
    async def test_words_are_never_syntax(self, conversations: Conversations, words: str) -> None:
        """They are words like all others, and needed."""
        owner, found = await _talk(conversations, "", f"How to type {words}?")
        await _talk(conversations, "", "I write rust.", owner)
        assert await _search(conversations, owner, words) == [found]

    async def test_words_joined_by_signs_stand_together(self, conversations: Conversations) -> None:
        """Such as parts of a hyphenated word, a path or an identifier."""
        owner, found = await _talk(conversations, "", "e-mail to snake_case in src/main.py")
        for words in ("e-mail", "snake_case", "main.py", "src/main", "mail"):
            assert await _search(conversations, owner, words) == [found], words
        assert await _search(conversations, owner, "mail-e") == []

    async def test_no_words_is_no_search(self, conversations: Conversations) -> None:
        """None, empty or blank: all are listed; signs alone: nothing is."""
        owner, found = await _talk(conversations, "", "Hello")
        for words in (None, "", " \t\n"):
            assert await _search(conversations, owner, words) == [found]
        for words in ("?!", "😀", "\u200b", "_", "\u0301"):
            assert await _search(conversations, owner, words) == []

    async def test_a_new_title_replaces_the_words_of_the_old(self, conversations: Conversations) -> None:
        """Those of `update` and of `entitle`; the messages' stay."""
        owner, found = await _talk(conversations, "", "pepper")
        await conversations.entitle(found, "salt")
        assert await _search(conversations, owner, "salt pepper") == [found]
        await conversations.update(found, ConversationChanges(title="sugar"), after(1))
        assert await _search(conversations, owner, "salt") == []
        assert await _search(conversations, owner, "sugar pepper") == [found]

    async def test_indexing_again_changes_nothing(self, conversations: Conversations) -> None:
        """A message is the same whenever it is indexed."""
        made = conversation()
        await conversations.insert(made)
        said = message(made.id, 1, "again")
        await asyncio.gather(*(conversations.index(said) for _ in range(5)))
        assert await _search(conversations, made.owner_id, "again") == [made.id]

    async def test_only_the_owner_finds(self, conversations: Conversations) -> None:
        """Another user who seeks the same words, or our id, gets nothing."""
        owner, _ = await _talk(conversations, "secret", "secret")
        other, theirs = await _talk(conversations, "public", "secret too")
        assert await _search(conversations, other, "secret") == [theirs]
        assert await _search(conversations, new_id(), "secret") == []
        assert await _search(conversations, other, owner) == []

    async def test_results_are_listed_as_all_others(self, conversations: Conversations) -> None:
        """Newest activity first, in pages, archived ones apart."""
        owner = new_id()
        made = [conversation(owner, f"tea {at}", at) for at in range(5)]
        filed = conversation(owner, "tea", archived=True)
        await asyncio.gather(*(conversations.insert(each) for each in [*made, filed]))
        newest = await conversations.find(ConversationQuery(owner, False, 2, search="tea"))
        assert ids(newest) == ids([made[4], made[3]])
        cursor = (newest[-1].updated_at, newest[-1].id)
        older = await conversations.find(ConversationQuery(owner, False, 9, after=cursor, search="tea"))
        assert ids(older) == ids([made[2], made[1], made[0]])
        assert ids(await conversations.find(ConversationQuery(owner, True, 9, search="tea"))) == [filed.id]

    async def test_long_and_many_words_do_no_harm(self, conversations: Conversations) -> None:
        """Neither a search of thousands of words nor a word of a hundred thousand letters."""
        owner, found = await _talk(conversations, "", "x" * 100_000)
        assert await _search(conversations, owner, "x" * 100_000) == [found]
        assert await _search(conversations, owner, "x y " * 10_000) == []

    async def test_purged_words_are_gone(self, conversations: Conversations) -> None:
        """And nothing of a purged conversation is indexed any more."""
        owner, found = await _talk(conversations, "zebra", "zebra")
        await conversations.delete(found)
        await conversations.purged(found)
        await conversations.index(message(found, 3, "zebra"))
        assert await _search(conversations, owner, "zebra") == []


async def _talk(conversations: Conversations, title: str, content: str, owner_id: str | None = None) -> tuple[str, str]:
    """The owner and the id of a new conversation with that title and one message."""
    made = conversation(owner_id, title)
    await conversations.insert(made)
    await conversations.index(message(made.id, 1, content))
    return made.owner_id, made.id


async def _search(conversations: Conversations, owner: str, words: str | None) -> list[str]:
    return ids(await conversations.find(ConversationQuery(owner, False, 100, search=words)))
