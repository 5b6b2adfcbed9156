"""Reading an answer: resuming, reading again, stopping, and its siblings."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from support.graphql import TRANSPORTS, Json, code_of, events, text_of
from support.people import GET_GENERATION, REGENERATE, STOP, Person, scripted


async def read_some(ada: Person, generation_id: str, transport: str, at_least: int) -> tuple[str, int]:
    """The text and the attempt that a reader holds who goes away after `at_least` code points."""
    held, attempt = "", 0
    async with aclosing(events(transport, ada.http.url, ada.token, generation_id)) as answer:
        async for event in answer:
            assert event["offset"] == len(held)
            held, attempt = held + event["text"], event["attempt"]
            if len(held) >= at_least:
                break
    return held, attempt


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_reader_goes_on_after_a_dropped_connection(ada: Person, transport: str) -> None:
    sent = await ada.send(await ada.create(), "Go", parameters={"maxTokens": 150})
    generation_id = sent["generation"]["id"]
    held, attempt = await read_some(ada, generation_id, transport, at_least=40)
    rest = [event async for event in events(transport, ada.http.url, ada.token, generation_id, len(held), attempt)]
    assert "GenerationRestarted" not in {event["__typename"] for event in rest}
    assert text_of(rest, held) == scripted(150)


async def test_two_readers_get_the_same_text_and_the_same_end(ada: Person) -> None:
    sent = await ada.send(await ada.create(), "Go", parameters={"maxTokens": 60})
    generation_id = sent["generation"]["id"]

    async def read(transport: str) -> list[Json]:
        return [event async for event in events(transport, ada.http.url, ada.token, generation_id)]

    first, second = await asyncio.gather(read("ws"), read("sse"))
    assert text_of(first) == text_of(second) == scripted(60)
    assert first[-1] == second[-1]


@pytest.mark.parametrize("after", [0, 1, 5, 8, 9, 1000])
async def test_a_finished_answer_is_read_again_from_anywhere(ada: Person, after: int) -> None:
    sent, text = await ada.ask(await ada.create(), "Go", parameters={"maxTokens": 3})
    seen = [event async for event in events("ws", ada.http.url, ada.token, sent["generation"]["id"], after)]
    deltas = [event for event in seen if event["__typename"] == "TokenDelta"]
    assert "".join(event["text"] for event in deltas) == text[after:]
    assert [event["offset"] for event in deltas[:1]] == ([after] if after < len(text) else [])
    assert seen[-1]["__typename"] == "GenerationFinished"
    assert seen[-1]["message"]["content"] == text


async def test_a_stop_in_the_middle_keeps_what_was_made(ada: Person) -> None:
    conversation = await ada.create()
    sent = await ada.send(conversation, "Go", parameters={"maxTokens": 5000})
    generation_id = sent["generation"]["id"]
    held, attempt = await read_some(ada, generation_id, "ws", at_least=20)
    stopped = (await ada.data(STOP, id=generation_id))["generation"]
    assert stopped["state"] in {"RUNNING", "CANCELLED"}
    async with asyncio.timeout(3):
        rest = [event async for event in events("ws", ada.http.url, ada.token, generation_id, len(held), attempt)]
    text = text_of(rest, held)
    assert (rest[-1]["state"], rest[-1]["finishReason"]) == ("CANCELLED", "CANCELLED")
    assert rest[-1]["message"]["content"] == text
    assert scripted(5000).startswith(text)
    assert (await ada.messages(conversation))[-1]["content"] == text


async def test_a_stop_before_the_first_token_ends_it_within_three_seconds(ada: Person) -> None:
    conversation = await ada.create()
    sent = await ada.send(conversation, "Go", parameters={"maxTokens": 5000})
    generation_id = sent["generation"]["id"]
    await ada.data(STOP, id=generation_id)
    async with asyncio.timeout(3):
        seen = [event async for event in events("ws", ada.http.url, ada.token, generation_id)]
    assert seen[-1]["state"] == "CANCELLED"
    assert scripted(5000).startswith(text_of(seen))


async def test_stopping_a_finished_generation_changes_nothing(ada: Person) -> None:
    sent, _ = await ada.ask(await ada.create(), "Go", parameters={"maxTokens": 2})
    before = await ada.generation(sent["generation"]["id"])
    assert (await ada.data(STOP, id=before["id"]))["generation"] == before
    assert await ada.generation(before["id"]) == before


async def test_another_answer_is_a_sibling_of_the_first(ada: Person) -> None:
    conversation = await ada.create()
    _, _ = await ada.ask(conversation, "Go", parameters={"maxTokens": 2})
    question, first = await ada.messages(conversation)
    details = {"messageId": first["id"], "requestId": "again", "parameters": {"maxTokens": 4}}
    sent = (await ada.data(REGENERATE, input=details))["sent"]
    assert sent["userMessage"]["id"] == question["id"]
    assert await ada.answer(sent["generation"]["id"]) == scripted(4)
    repeated = (await ada.data(REGENERATE, input=details))["sent"]
    assert repeated["generation"]["id"] == sent["generation"]["id"]

    newest = await ada.messages(conversation)
    assert [message["content"] for message in newest] == ["Go", scripted(4)]
    assert newest[1]["siblingIds"] == [first["id"], newest[1]["id"]]
    older = await ada.messages(conversation, leaf=first["id"])
    assert [message["content"] for message in older] == ["Go", scripted(2)]


async def test_an_edit_is_a_branch_of_its_own(ada: Person) -> None:
    conversation = await ada.create()
    await ada.ask(conversation, "First", parameters={"maxTokens": 1})
    await ada.ask(conversation, "Second", parameters={"maxTokens": 2})
    before = await ada.messages(conversation)
    edited, _ = await ada.ask(conversation, "Second, better", parentId=before[1]["id"], parameters={"maxTokens": 3})
    after = await ada.messages(conversation)
    assert [message["content"] for message in after] == ["First", scripted(1), "Second, better", scripted(3)]
    assert edited["userMessage"]["siblingIds"] == [before[2]["id"], edited["userMessage"]["id"]]
    assert [message["id"] for message in await ada.messages(conversation, leaf=before[3]["id"])] == [
        message["id"] for message in before
    ]


async def test_the_first_message_is_edited_by_naming_the_conversation_as_its_parent(ada: Person) -> None:
    conversation = await ada.create()
    await ada.ask(conversation, "First", parameters={"maxTokens": 1})
    await ada.ask(conversation, "First, better", parentId=conversation, parameters={"maxTokens": 2})
    assert [m["content"] for m in await ada.messages(conversation)] == ["First, better", scripted(2)]


async def test_a_subscription_without_a_token_is_refused_on_both_transports(ada: Person) -> None:
    sent, _ = await ada.ask(await ada.create(), "Go", parameters={"maxTokens": 1})
    document = "subscription ($id: ID!) { generation(id: $id) { __typename } }"
    for open_stream in TRANSPORTS.values():
        answers = [
            answer async for answer in open_stream(ada.http.url, None, document, {"id": sent["generation"]["id"]})
        ]
        assert code_of(answers[0]) == "UNAUTHENTICATED"
    assert code_of(await ada.http.post(GET_GENERATION, {"id": sent["generation"]["id"]})) == "UNAUTHENTICATED"
