"""Search without a text index: each message has a document with its distinct words, in a multikey index by owner.

A word is one look into the index. Words that stand together are looked up by the longest of them, and the text, kept
as folded words, is asked for the rest. The beginning of a word is a range in the index.

A long message has a document for each 2,000 words, so that no write has more index keys than it has time for. Parts
overlap, so that what is typed, however long, stands in one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymongo.errors import DuplicateKeyError

from parley_conversation.domain.conversation import Message
from parley_conversation.domain.words import MOST_CHARACTERS, terms_of, words_of
from parley_kit.mongo import Document, Mongo, mongo_calls
from parley_kit.tasks import gather_all

PART = 2000
AFTER_ALL = "\U0010ffff"
DELETED_AT_ONCE = 200


def title_fields(title: str) -> Document:
    """What of a title its conversation's document keeps for search."""
    words = words_of(title)
    return {"title_words": _distinct(words), "title_text": _joined(words)}


class MongoSearch:
    def __init__(self, db: Mongo) -> None:
        self._texts = db.texts
        self._conversations = db.conversations

    async def index(self, owner_id: str, message: Message) -> None:
        """Once: a message never changes. Cut off, the next time adds what is missing."""
        name = f"{message.conversation_id}:{message.seq}"
        origin = {"conversation_id": message.conversation_id, "owner_id": owner_id}
        for number, words in enumerate(_parts(words_of(message.content))):
            document = {"_id": f"{name}:{number}", **origin, "words": _distinct(words), "text": _joined(words)}
            async with mongo_calls():
                try:
                    await self._texts.insert_one(document)
                except DuplicateKeyError:
                    continue  # indexed before

    async def find(self, owner_id: str, search: str) -> set[str]:
        """The ids of the owner's conversations that have all that was typed, each term in the title or a message."""
        terms = terms_of(search)
        found = await gather_all(self._having(owner_id, term, unfinished=term is terms[-1]) for term in terms)
        return set.intersection(*found) if found else set()

    async def forget(self, conversation_id: str) -> None:
        """Some at a time, so that each call ends within its time."""
        while True:
            async with mongo_calls():
                some = self._texts.find({"conversation_id": conversation_id}, {"_id": 1}, limit=DELETED_AT_ONCE)
                found = [document["_id"] async for document in some]
                if not found:
                    return
                await self._texts.delete_many({"_id": {"$in": found}})

    async def _having(self, owner_id: str, term: Sequence[str], unfinished: bool) -> set[str]:
        steps = [{"$match": {"owner_id": owner_id, "words": key_of(term, unfinished)}}]
        if len(term) > 1:
            steps.append({"$match": {"text": {"$regex": _together(term, unfinished)}}})
        titles = [{"$match": _of_title(step["$match"])} for step in steps]
        async with mongo_calls():
            messages = self._texts.aggregate([*steps, {"$group": {"_id": "$conversation_id"}}])
            found = {document["_id"] async for document in messages}
            named = self._conversations.aggregate([*titles, {"$project": {"_id": 1}}])
            return found | {document["_id"] async for document in named}


def key_of(term: Sequence[str], unfinished: bool) -> str | Document:
    """What the index is asked for: a whole word, the longest, or else the beginning of one."""
    whole = term[:-1] if unfinished else term
    if whole:
        return max(whole, key=len)
    # One element has to fulfil both: $gte and $lt without $elemMatch could be met by two words.
    return {"$elemMatch": {"$gte": term[0], "$lt": term[0] + AFTER_ALL}}


def _parts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), PART):
        yield words[start : start + PART + MOST_CHARACTERS]


def _of_title(match: Document) -> Document:
    names = {"words": "title_words", "text": "title_text"}
    return {names.get(name, name): value for name, value in match.items()}


def _together(term: Sequence[str], unfinished: bool) -> str:
    """Words are letters and digits, so nothing in them is a pattern."""
    return f" {' '.join(term)}" + ("" if unfinished else " ")


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


def _distinct(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))
