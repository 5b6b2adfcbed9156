"""A message from sign-up to the stored answer, on both streaming transports."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.graphql import TRANSPORTS, Http, code_of, events, text_of
from support.people import ME, MESSAGES, SEND, STOP, Person, scripted, sign_up


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_message_is_answered_streamed_and_stored(http: Http, transport: str) -> None:
    ada = await sign_up(http)
    assert (await ada.data(ME))["me"]["email"] == ada.email
    conversation = await ada.create(title="First", systemPrompt="Be brief.")

    sent = await ada.send(conversation, "  Hello, 🌍\n", parameters={"maxTokens": 12})
    generation = sent["generation"]
    assert generation["state"] in {"QUEUED", "RUNNING"}
    seen = [event async for event in events(transport, http.url, ada.token, generation["id"])]

    assert text_of(seen) == scripted(12)
    finished = seen[-1]
    assert (finished["state"], finished["finishReason"], finished["error"]) == ("COMPLETED", "LENGTH", None)
    assert finished["usage"]["completionTokens"] == 12
    assert finished["message"]["content"] == scripted(12)

    question, answer = await ada.messages(conversation)
    assert (question["role"], question["content"], question["parentId"]) == ("USER", "  Hello, 🌍\n", None)
    assert (answer["id"], answer["role"], answer["parentId"]) == (
        finished["message"]["id"],
        "ASSISTANT",
        question["id"],
    )
    assert answer["generation"] == {"id": generation["id"], "state": "COMPLETED", "attempt": 1}
    stored = await ada.generation(generation["id"])
    assert (stored["state"], stored["finishReason"]) == ("COMPLETED", "LENGTH")
    assert stored["createdAt"].endswith("Z")
    assert stored["createdAt"] <= stored["finishedAt"]


async def test_the_answer_streams_while_it_is_made_and_is_not_listed_before_its_end(ada: Person) -> None:
    conversation = await ada.create()
    sent = await ada.send(conversation, "Slowly, please", parameters={"maxTokens": 10_000})
    listed_midway = None
    async for event in events("ws", ada.http.url, ada.token, sent["generation"]["id"]):
        if listed_midway is None:
            assert event["__typename"] == "TokenDelta"
            listed_midway = await ada.messages(conversation)
            assert (await ada.generation(sent["generation"]["id"]))["state"] == "RUNNING"
            await ada.data(STOP, id=sent["generation"]["id"])
    assert [message["role"] for message in listed_midway or []] == ["USER"]
    assert [message["role"] for message in await ada.messages(conversation)] == ["USER", "ASSISTANT"]


async def test_a_repeated_request_id_finds_the_first_result(ada: Person) -> None:
    conversation = await ada.create()
    first = await ada.send(conversation, "Once", requestId="r-1", parameters={"maxTokens": 3})
    again = await asyncio.gather(*(ada.send(conversation, "Once", requestId="r-1") for _ in range(5)))
    await ada.answer(first["generation"]["id"])
    again.append(await ada.send(conversation, "Once", requestId="r-1"))
    assert {sent["generation"]["id"] for sent in again} == {first["generation"]["id"]}
    assert {sent["userMessage"]["id"] for sent in again} == {first["userMessage"]["id"]}
    assert [message["content"] for message in await ada.messages(conversation)] == ["Once", scripted(3)]


async def test_many_conversations_are_answered_at_once(ada: Person) -> None:
    async def one(number: int) -> str:
        conversation = await ada.create()
        return (await ada.ask(conversation, f"Number {number}", parameters={"maxTokens": 40}))[1]

    assert await asyncio.gather(*map(one, range(12))) == [scripted(40)] * 12


async def test_everything_but_streams_works_over_a_socket_too(ada: Person) -> None:
    conversation = await ada.create()
    over_ws = TRANSPORTS["ws"]
    variables = {"input": {"conversationId": conversation, "content": "Hi", "parameters": {"maxTokens": 1}}}
    (sent,) = [answer async for answer in over_ws(ada.http.url, ada.token, SEND, variables)]
    await ada.answer(sent["data"]["sent"]["generation"]["id"])
    (listed,) = [answer async for answer in over_ws(ada.http.url, ada.token, MESSAGES, {"id": conversation})]
    assert len(listed["data"]["conversation"]["messages"]["edges"]) == 2


async def test_more_answers_at_once_than_a_user_may_have_are_refused_at_once(ada: Person) -> None:
    """R7, and the refusal says when to come again."""
    slow = {"maxTokens": 10_000}
    sent = [await ada.send(await ada.create(), "Go", parameters=slow) for _ in range(16)]
    details = {"conversationId": await ada.create(), "content": "One more", "parameters": slow}
    started = time.monotonic()
    refusal = await ada.http.post(SEND, {"input": details}, ada.token)
    assert time.monotonic() - started < 2
    assert code_of(refusal) in {"OVERLOADED", "RATE_LIMITED"}
    assert refusal["errors"][0]["extensions"]["retryAfter"] > 0
    await asyncio.gather(*(ada.data(STOP, id=it["generation"]["id"]) for it in sent))
    await asyncio.gather(*(ada.answer(it["generation"]["id"]) for it in sent))
    assert "errors" not in await ada.http.post(SEND, {"input": {**details, "parameters": {"maxTokens": 1}}}, ada.token)
