"""Servers that are busy, lost, silent, broken or too small."""

from __future__ import annotations

import asyncio

import pytest

from parley_kit.errors import BadInput, Unavailable
from parley_worker.core import ChatMessage, FinishReason
from parley_worker.testing.backends import words
from parley_worker.testing.chat_server import ChatServer, Reply, answer, chunk, error, event
from parley_worker.testing.openai import ask, collect, job, open_backend, text_of


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_server_that_is_busy_is_asked_again(server: ChatServer, status: int) -> None:
    server.replies += [error(status, "busy", headers={"Retry-After": "0"}), error(status, "busy")]
    assert text_of(await ask(server, job(max_tokens=2))) == words(0, 2)
    assert len(server.asked) == 3


async def test_it_is_not_asked_again_before_it_says(server: ChatServer) -> None:
    server.replies.append(error(429, "busy", headers={"Retry-After": "1"}))
    began = asyncio.get_running_loop().time()
    await ask(server, job(max_tokens=1))
    assert asyncio.get_running_loop().time() - began >= 1


@pytest.mark.parametrize("retry_after", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
async def test_when_that_is_too_late_the_job_may_go_elsewhere_at_once(server: ChatServer, retry_after: str) -> None:
    server.replies.append(error(503, "busy", headers={"Retry-After": retry_after}))
    with pytest.raises(Unavailable, match="busy") as caught:
        await ask(server)
    assert caught.value.retry_after >= 3590
    assert len(server.asked) == 1


@pytest.mark.parametrize("reply", [Reply(cut=True), Reply([b"data: "], cut=True), Reply([answer("a")[0]])])
async def test_a_connection_that_is_lost_before_the_first_token_is_made_again(server: ChatServer, reply: Reply) -> None:
    server.replies.append(reply)
    assert text_of(await ask(server, job(max_tokens=2))) == words(0, 2)


@pytest.mark.parametrize("cut", [True, False])
async def test_an_answer_that_is_cut_off_is_given_back_and_never_asked_for_twice(server: ChatServer, cut: bool) -> None:
    server.replies.append(Reply([chunk("a")], cut=cut))
    async with open_backend(server) as backend:
        with pytest.raises(Unavailable):
            await collect(backend, job())
        assert not backend.ready
    assert len(server.asked) == 1


async def test_an_error_in_the_stream_is_an_error(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a"), event({"error": {"message": "out of memory", "code": 500}})]))
    with pytest.raises(Unavailable, match="out of memory"):
        await ask(server)
    server.replies.append(Reply([event({"object": "error", "message": "no such role", "code": 400})]))
    with pytest.raises(BadInput, match="no such role"):
        await ask(server)


@pytest.mark.parametrize("parts", [[b"data: nonsense\n\n"], [b'data: {"choices": 4}\n\n'], [b"data: [1]\n\n"]])
async def test_nonsense_is_not_passed_on(server: ChatServer, parts: list[bytes]) -> None:
    server.replies.append(Reply(parts))
    with pytest.raises(Unavailable, match="no chunk"):
        await ask(server)


async def test_an_answer_that_is_no_event_stream_is_refused(server: ChatServer) -> None:
    server.replies += [Reply([b"{}"], headers={"Content-Type": "application/json"})] * 20
    with pytest.raises(Unavailable, match="text/event-stream"):
        await ask(server, patience_seconds=0.0)


async def test_a_server_that_falls_silent_counts_as_lost(server: ChatServer) -> None:
    for reply in (Reply([chunk("a")], hang=True), Reply(silent=True)):
        server.replies.append(reply)
        with pytest.raises(Unavailable, match="said nothing"):
            await ask(server, silence_seconds=0.2)
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_no_fault_of_the_user(server: ChatServer, status: int) -> None:
    server.replies.append(error(status, "invalid key"))
    with pytest.raises(Unavailable, match="invalid key"):
        await ask(server)
    assert len(server.asked) == 1


async def test_an_error_that_is_no_json_is_told_on_one_line(server: ChatServer) -> None:
    server.replies.append(Reply([b"<p>\nbad gateway\xff</p>"], 502, {"Content-Type": "text/html"}))
    with pytest.raises(Unavailable, match=r"<p> bad gateway\ufffd</p> \(502\)"):
        await ask(server, patience_seconds=0.0)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_request_that_the_server_refuses_is_bad_input(server: ChatServer, status: int) -> None:
    server.replies.append(error(status, "temperature is too high"))
    with pytest.raises(BadInput, match="temperature is too high"):
        await ask(server)
    assert len(server.asked) == 1


# The window

LONG = tuple(ChatMessage(role, f"{index} " + "x" * 200) for index in range(10) for role in ("user", "assistant"))[:-1]
COUNTED = "This model's maximum context length is 100 tokens. However, you requested {} tokens ({} in the messages)."


async def test_a_conversation_over_the_window_is_cut_from_its_oldest_end(server: ChatServer) -> None:
    server.replies += [error(400, COUNTED.format(900, 400)), error(400, COUNTED.format(150, 120))]
    assert text_of(await ask(server, job(messages=LONG, max_tokens=3), context_length=100)) == words(0, 3)
    first, second, third = (asked.body["messages"] for asked in server.asked)
    assert len(third) < len(second) < len(first) == len(LONG)
    assert third == first[-len(third) :]
    assert third[0]["role"] == "user"
    assert len(second) <= len(first) / 4, "it goes by the server's count"


@pytest.mark.parametrize(
    "refusal",
    [
        error(
            400, "'max_tokens' is too large: 5000. The maximum context length is 100 tokens and it has 60 input tokens"
        ),
        error(400, "too long", type="exceed_context_size_error", n_prompt_tokens=60),
        Reply([event({"error": {"message": "60 input tokens", "code": "context_length_exceeded"}})]),
    ],
)
async def test_an_answer_longer_than_the_window_has_what_is_left_of_it(server: ChatServer, refusal: Reply) -> None:
    server.replies.append(refusal)
    chunks = await ask(server, job(max_tokens=5000), context_length=100)
    assert (text_of(chunks), chunks[-1].finish_reason) == (words(0, 40), FinishReason.LENGTH)
    assert server.asked[1].body["messages"] == server.asked[0].body["messages"]


async def test_without_a_count_the_answer_gives_way_first_and_then_the_conversation(server: ChatServer) -> None:
    server.replies += [error(400, "over", code="context_length_exceeded")] * 3
    await ask(server, job(messages=LONG, max_tokens=80), context_length=100)
    assert [asked.body["max_tokens"] for asked in server.asked] == [80, 25, 25, 25]
    lengths = [len(asked.body["messages"]) for asked in server.asked]
    assert lengths[0] == lengths[1] > lengths[2] > lengths[3]


async def test_what_can_never_fit_is_bad_input(server: ChatServer) -> None:
    server.replies += [error(400, "over", code="context_length_exceeded")] * 100
    with pytest.raises(BadInput) as caught:
        await ask(server, job(messages=(ChatMessage("user", "x" * 100_000),)))
    assert caught.value.field == "messages"
    assert len(server.asked) == 17
