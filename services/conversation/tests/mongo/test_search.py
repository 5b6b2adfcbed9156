"""Search in long messages, which are indexed in parts."""

from __future__ import annotations

from parley_conversation.adapters.mongo import Documents
from parley_conversation.adapters.mongo.search import PART
from parley_conversation.ports import ConversationQuery
from parley_conversation.testing.harness import conversation, ids, message
from parley_kit.mongo import Mongo

WORDS = [f"w{number}" for number in range(2 * PART + 700)]


SEARCHES = {
    "first": WORDS[0],
    "last": WORDS[-1],
    "far apart": f"{WORDS[1]} {WORDS[-2]}",
    "over a border": "-".join(WORDS[PART - 1 : PART + 1]),
    "long over a border": "-".join(WORDS[PART - 30 : PART + 30]),
    "over the next border": "-".join(WORDS[2 * PART - 1 : 2 * PART + 2]),
}


async def test_a_long_message_is_found_by_all_of_it(documents: Documents) -> None:
    made = conversation()
    await documents.conversations.insert(made)
    await documents.conversations.index(message(made.id, 1, " ".join(WORDS)))
    for name, search in SEARCHES.items():
        query = ConversationQuery(made.owner_id, False, 10, search=search)
        assert ids(await documents.conversations.find(query)) == [made.id], name


async def test_an_index_that_was_cut_off_is_completed(db: Mongo, documents: Documents) -> None:
    made, said = conversation(), message("", 1, " ".join(WORDS))
    await documents.conversations.insert(made)
    said = message(made.id, 1, said.content)
    await documents.conversations.index(said)
    await db.texts.delete_one({"_id": f"{made.id}:1:2"})
    await documents.conversations.index(said)
    assert await db.texts.count_documents({}) == 3


async def test_no_document_has_more_words_than_there_is_time_for(db: Mongo, documents: Documents) -> None:
    """34,000 signs without a blank are as many words."""
    made = conversation()
    await documents.conversations.insert(made)
    await documents.conversations.index(message(made.id, 1, "".join(map(chr, range(0x4E00, 0x9000))) * 2))
    assert max([len(it["words"]) async for it in db.texts.find({})]) <= PART + 400
