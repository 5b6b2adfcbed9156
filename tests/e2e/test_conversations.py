"""The list of conversations, and what can be done to one."""

from __future__ import annotations

from support.graphql import Json
from support.people import (
    DELETE,
    GET,
    GET_GENERATION,
    LIST,
    MESSAGES,
    NODE,
    REGENERATE,
    SEND,
    STOP,
    UPDATE,
    Person,
    scripted,
)


async def listed(ada: Person, **arguments: object) -> list[str]:
    data = await ada.data(LIST, **arguments)
    return [edge["node"]["title"] for edge in data["conversations"]["edges"]]


async def test_an_update_changes_what_it_names_and_nothing_else(ada: Person) -> None:
    conversation = await ada.create(title="Old", systemPrompt="Be kind.")
    changed = (await ada.data(UPDATE, input={"id": conversation, "title": "New"}))["conversation"]
    assert (changed["title"], changed["systemPrompt"], changed["archived"]) == ("New", "Be kind.", False)
    changed = (await ada.data(UPDATE, input={"id": conversation, "archived": True}))["conversation"]
    assert (changed["title"], changed["archived"]) == ("New", True)
    assert (await ada.data(GET, id=conversation))["conversation"] == changed


async def test_archived_conversations_have_a_list_of_their_own(ada: Person) -> None:
    kept, archived = await ada.create(title="Kept"), await ada.create(title="Archived")
    await ada.data(UPDATE, input={"id": archived, "archived": True})
    assert await listed(ada) == ["Kept"]
    assert await listed(ada, archived=False) == ["Kept"]
    assert await listed(ada, archived=None) == ["Kept"]
    assert await listed(ada, archived=True) == ["Archived"]
    assert kept != archived


async def test_the_newest_activity_comes_first(ada: Person) -> None:
    first = await ada.create(title="First")
    await ada.create(title="Second")
    assert await listed(ada) == ["Second", "First"]
    await ada.ask(first, "Still here", parameters={"maxTokens": 1})
    assert await listed(ada) == ["First", "Second"]


async def test_a_search_finds_words_of_titles_and_of_messages(ada: Person) -> None:
    boats = await ada.create(title="About boats")
    await ada.create(title="About trains")
    await ada.ask(boats, "Tell me of the Vasa", parameters={"maxTokens": 2})
    assert await listed(ada, search="trains") == ["About trains"]
    assert await listed(ada, search="vasa") == ["About boats"]
    assert await listed(ada, search="zeppelin") == []
    assert await listed(ada, search='"%_*') == []


async def test_pages_of_conversations_join_without_gap_or_double(ada: Person) -> None:
    for number in range(7):
        await ada.create(title=f"{number}")
    titles, after, pages = list[str](), None, 0
    while True:
        page: Json = (await ada.data(LIST, first=3, after=after))["conversations"]
        titles += [edge["node"]["title"] for edge in page["edges"]]
        pages += 1
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
        assert after == page["edges"][-1]["cursor"]
    assert (titles, pages) == (["6", "5", "4", "3", "2", "1", "0"], 3)


async def test_pages_of_messages_go_back_from_the_newest(ada: Person) -> None:
    conversation = await ada.create()
    for number in range(3):
        await ada.ask(conversation, f"{number}", parameters={"maxTokens": 1})
    contents, before = list[str](), None
    while True:
        page = (await ada.data(MESSAGES, id=conversation, last=4, before=before))["conversation"]["messages"]
        contents = [edge["node"]["content"] for edge in page["edges"]] + contents
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        before = page["pageInfo"]["startCursor"]
    assert contents == ["0", scripted(1), "1", scripted(1), "2", scripted(1)]


async def test_after_a_delete_all_below_it_is_gone_for_every_operation(ada: Person) -> None:
    conversation = await ada.create()
    sent, _ = await ada.ask(conversation, "Secret", parameters={"maxTokens": 2})
    message, answer = await ada.messages(conversation)
    assert (await ada.data(DELETE, id=conversation))["deleteConversation"] is True
    generation = sent["generation"]["id"]
    assert (await ada.data(GET, id=conversation))["conversation"] is None
    assert (await ada.data(GET_GENERATION, id=generation))["generation"] is None
    for gone in (conversation, message["id"], answer["id"], generation):
        assert (await ada.data(NODE, id=gone))["node"] is None
    assert await ada.code(DELETE, id=conversation) == "NOT_FOUND"
    assert await ada.code(STOP, id=generation) == "NOT_FOUND"
    assert await ada.code(UPDATE, input={"id": conversation, "title": "x"}) == "NOT_FOUND"
    assert await ada.code(SEND, input={"conversationId": conversation, "content": "x"}) == "NOT_FOUND"
    assert await ada.code(REGENERATE, input={"messageId": answer["id"]}) == "NOT_FOUND"
    assert await listed(ada) == []
    assert await listed(ada, search="Secret") == []


async def test_a_delete_while_the_answer_is_made_ends_it(ada: Person) -> None:
    conversation = await ada.create()
    sent = await ada.send(conversation, "Go", parameters={"maxTokens": 5000})
    assert (await ada.data(DELETE, id=conversation))["deleteConversation"] is True
    assert (await ada.data(GET_GENERATION, id=sent["generation"]["id"]))["generation"] is None


async def test_every_node_is_found_by_its_id(ada: Person) -> None:
    conversation = await ada.create()
    sent, _ = await ada.ask(conversation, "Hi", parameters={"maxTokens": 1})
    nodes = {
        ada.id: "User",
        conversation: "Conversation",
        sent["userMessage"]["id"]: "Message",
        sent["generation"]["id"]: "Generation",
    }
    for node_id, kind in nodes.items():
        assert (await ada.data(NODE, id=node_id))["node"] == {"__typename": kind, "id": node_id}


async def test_the_models_come_with_the_default_first_and_available(ada: Person) -> None:
    models = (await ada.data("{ models { name contextLength available } }"))["models"]
    assert models[0]["available"] is True
    assert models[0]["contextLength"] > 0
    assert (await ada.data(GET, id=await ada.create()))["conversation"]["model"] == models[0]["name"]
