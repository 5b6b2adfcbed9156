"""The openai backend against a real HTTP server that speaks the protocol, well and badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Any

import pytest

from parley_kit.clock import SystemClock
from parley_kit.errors import BadInput, Unavailable
from parley_worker.backends.openai.backend import OpenAiBackend
from parley_worker.backends.openai.config import OpenAiConfig
from parley_worker.backends.openai.dialects import Dialect
from parley_worker.backends.openai.opening import open_openai_backend
from parley_worker.core import ChatMessage, Chunk, FinishReason, Job, Prefix, SamplingParams, Usage
from parley_worker.testing.backends import words
from parley_worker.testing.chat_server import (
    MODEL,
    ChatServer,
    Reply,
    answer,
    chunk,
    error,
    event,
    open_chat_server,
    usage_chunk,
)

HELLO = (ChatMessage("user", "hello"),)
CONFIG = OpenAiConfig("", patience_seconds=5.0, silence_seconds=5.0, capacity=3)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with open_chat_server() as opened:
        yield opened


def open_backend(server: ChatServer, **config: Any) -> AbstractAsyncContextManager[OpenAiBackend]:
    return open_openai_backend(replace(CONFIG, url=server.url, **config), SystemClock())


def job(resume: Prefix | None = None, messages: tuple[ChatMessage, ...] = HELLO, **params: Any) -> Job:
    return Job("job", messages, SamplingParams(**params), resume or Prefix())


async def collect(backend: OpenAiBackend, work: Job) -> list[Chunk]:
    async with aclosing(backend.generate(work)) as chunks:
        return [chunk async for chunk in chunks]


async def ask(server: ChatServer, work: Job | None = None, **config: Any) -> list[Chunk]:
    async with open_backend(server, **config) as backend:
        return await collect(backend, work or job())


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_an_answer_is_streamed_to_its_end(server: ChatServer) -> None:
    chunks = await ask(server, job(max_tokens=5))
    assert text_of(chunks) == words(0, 5)
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].finish_reason, chunks[-1].usage) == (FinishReason.LENGTH, Usage(7, 5))
    assert len(chunks) >= 5


async def test_what_is_asked_is_what_the_protocol_has_names_for(server: ChatServer) -> None:
    params = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "seed": 2**31 + 4, "stop": ("x", "y")}
    await ask(server, job(**params), api_key="secret")
    (asked,) = server.asked
    assert asked.body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 4,
        "stop": ["x", "y"],
    }
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.headers["accept"] == "text/event-stream"


async def test_what_is_left_out_is_left_to_the_server(server: ChatServer) -> None:
    await ask(server)
    assert server.asked[0].body.keys() == {"model", "messages", "stream", "stream_options"}


async def test_a_top_p_of_zero_is_greedy(server: ChatServer) -> None:
    await ask(server, job(top_p=0.0, temperature=0.7))
    assert "top_p" not in server.asked[0].body
    assert server.asked[0].body["temperature"] == 0


@pytest.mark.parametrize(
    ("dialect", "penalty"), [(Dialect.VLLM, "repetition_penalty"), (Dialect.LLAMACPP, "repeat_penalty")]
)
async def test_more_parameters_go_where_they_are_taken(server: ChatServer, dialect: Dialect, penalty: str) -> None:
    await ask(server, job(top_k=4, repetition_penalty=1.1, ignore_eos=True), dialect=dialect)
    body = server.asked[0].body
    assert (body["top_k"], body[penalty], body["ignore_eos"]) == (4, 1.1, True)


@pytest.mark.parametrize("dialect", [Dialect.OPENAI, Dialect.OLLAMA])
@pytest.mark.parametrize("params", [{"top_k": 4}, {"repetition_penalty": 1.1}, {"ignore_eos": True}])
async def test_what_a_server_would_ignore_is_refused_by_name(
    server: ChatServer, dialect: Dialect, params: dict[str, Any]
) -> None:
    with pytest.raises(BadInput) as caught:
        await ask(server, job(**params), dialect=dialect)
    assert [caught.value.field] == list(params)
    assert server.asked == []


BYTES = b"".join(
    [
        b": a comment\r\n\r\n",
        event({"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]}),
        chunk("caf").replace(b"\n", b"\r\n"),
        b'data: {"choices":[{"index":0,"delta":{"content":"\xc3\xa9 \xf0\x9f\xa6\x8a"}}]}\r\n\r\n',
        b'event: message\rid: 7\rdata:{"choices":[{"index":0,\rdata: "delta":{"content":"\\n\\u2028."}}]}\r\r',
        chunk("\ud83e") + chunk("\udd8a"),  # one code point in two chunks
        chunk(finish="stop"),
        usage_chunk(3, 9),
        b"data: [DONE]\n\n",
    ]
)
TEXT = "café 🦊\n\u2028.🦊"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(BYTES)])
async def test_events_are_read_wherever_they_are_split(server: ChatServer, size: int) -> None:
    server.replies.append(Reply([BYTES[at : at + size] for at in range(0, len(BYTES), size)]))
    chunks = await ask(server)
    assert text_of(chunks) == TEXT
    assert (chunks[-1].finish_reason, chunks[-1].usage) == (FinishReason.STOP, Usage(3, 9))


async def test_half_a_code_point_is_never_passed_on(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a\ud83e"), chunk("b"), chunk("\ud83e", finish="stop")]))
    assert text_of(await ask(server)) == "a\ufffdb\ufffd"


@pytest.mark.parametrize("end", [[], [b"data: [DONE]\n\n"], [b"data: {\n\n"]], ids=["nothing", "done", "nonsense"])
async def test_an_answer_without_usage_is_whole(server: ChatServer, end: list[bytes]) -> None:
    server.replies.append(Reply([chunk("a"), chunk(finish="stop"), *end]))
    chunks = await ask(server)
    assert (text_of(chunks), chunks[-1].finish_reason, chunks[-1].usage) == ("a", FinishReason.STOP, None)


async def test_a_connection_that_ends_after_the_finish_loses_nothing(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a"), chunk(finish="stop")], cut=True))
    assert text_of(await ask(server)) == "a"


async def test_a_server_that_says_done_alone_has_finished(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a"), b"data: [DONE]\n\n"]))
    assert (await ask(server))[-1].finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("word", "reason"), [("stop", FinishReason.STOP), ("length", FinishReason.LENGTH), ("eos_token", FinishReason.STOP)]
)
async def test_finish_reasons_are_told_in_our_words(server: ChatServer, word: str, reason: FinishReason) -> None:
    server.replies.append(Reply(answer("a", finish=word)))
    assert (await ask(server))[-1].finish_reason is reason


@pytest.mark.parametrize(("word", "kind"), [("content_filter", BadInput), ("abort", Unavailable)])
async def test_an_end_that_is_none_is_an_error(server: ChatServer, word: str, kind: type[Exception]) -> None:
    server.replies.append(Reply(answer("a", finish=word)))
    with pytest.raises(kind, match=word):
        await ask(server)


async def test_stop_strings_beyond_what_the_protocol_takes_are_found_here(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("one t"), chunk("wo three"), chunk(" four")], hang=True))
    async with open_backend(server) as backend:
        chunks = await collect(backend, job(stop=("a", "b", "c", "d", "two")))
        await server.changed.until(lambda: server.running == 0)
    assert (text_of(chunks), chunks[-1].finish_reason) == ("one ", FinishReason.STOP)
    assert "stop" not in server.asked[0].body


async def test_token_ids_and_counts_are_taken_where_they_are_told(server: ChatServer) -> None:
    ids = [chunk("a", token_ids=[5]), chunk("b", token_ids=[6, 7]), chunk(finish="stop", token_ids=[2])]
    server.replies.append(Reply([*ids, usage_chunk(13, 4)]))
    chunks = await ask(server, job(Prefix((1, 4), "xy")), dialect=Dialect.VLLM)
    assert [token for chunk in chunks for token in chunk.token_ids] == [5, 6, 7, 2]
    assert chunks[-1].usage == Usage(11, 6)
    body = server.asked[0].body
    assert body["return_token_ids"] is True
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


# Going on with an answer


@pytest.mark.parametrize("dialect", [Dialect.VLLM, Dialect.LLAMACPP, Dialect.OLLAMA])
async def test_an_answer_goes_on_after_what_readers_hold(server: ChatServer, dialect: Dialect) -> None:
    chunks = await ask(server, job(Prefix((0, 1, 2), words(0, 3)), max_tokens=5), dialect=dialect)
    assert text_of(chunks) == words(3, 5)
    body = server.asked[0].body
    assert body["messages"][-1] == {"role": "assistant", "content": "w0 w1 w2"}
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    assert (flags.items() <= body.items()) == (dialect is Dialect.VLLM)
    assert body["max_tokens"] == 2


@pytest.mark.parametrize(
    ("texts", "new"),
    [
        (("\n", " b"), "b"),
        (("\n b",), "b"),
        (("", "\n \n b"), "\n b"),
        (("b",), "b"),
        (("\nb",), "b"),
        (("\n", "b\n b"), "b\n b"),
    ],
)
async def test_white_space_at_the_border_is_neither_lost_nor_doubled(
    server: ChatServer, texts: tuple[str, ...], new: str
) -> None:
    server.replies.append(Reply(answer(*texts)))
    chunks = await ask(server, job(Prefix((), "a\n ")), dialect=Dialect.LLAMACPP)
    assert server.asked[0].body["messages"][-1]["content"] == "a"
    assert text_of(chunks) == new


async def test_a_stop_string_is_found_across_the_border(server: ChatServer) -> None:
    server.replies.append(Reply(answer("op and more")))
    chunks = await ask(server, job(Prefix((), "go st"), stop=("stop",)), dialect=Dialect.VLLM)
    assert (text_of(chunks), chunks[-1].finish_reason) == ("", FinishReason.STOP)


async def test_the_beginning_of_a_stop_string_is_not_shown_twice(server: ChatServer) -> None:
    server.replies.append(Reply(answer("airs")))
    chunks = await ask(server, job(Prefix((), "go st"), stop=("stop",)), dialect=Dialect.VLLM)
    assert text_of(chunks) == "airs"


async def test_a_server_that_cannot_go_on_says_so(server: ChatServer) -> None:
    with pytest.raises(BadInput) as caught:
        await ask(server, job(Prefix((), "go")))
    assert caught.value.field == "resume"
    assert server.asked == []


# Failures


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


# Slots and health


async def test_closing_an_answer_closes_its_connection_at_once(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a")], hang=True))
    async with open_backend(server) as backend:
        async with aclosing(backend.generate(job())) as chunks:
            await anext(chunks)
            assert server.running == 1
        await server.changed.until(lambda: server.running == 0)


async def test_a_job_that_is_cancelled_before_the_first_token_leaves_the_server(server: ChatServer) -> None:
    server.replies.append(Reply(silent=True))
    async with open_backend(server) as backend:
        task = asyncio.create_task(collect(backend, job()))
        await server.changed.until(lambda: server.running == 1)
        task.cancel()
        await server.changed.until(lambda: server.running == 0)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_more_than_its_capacity_is_asked_for_at_once(server: ChatServer) -> None:
    server.replies += [Reply([chunk("a")], hang=True)] * 3
    async with open_backend(server) as backend:
        held = [asyncio.create_task(collect(backend, job())) for _ in range(3)]
        await server.changed.until(lambda: server.running == 3)
        waiting = asyncio.create_task(collect(backend, job(max_tokens=1)))
        await asyncio.sleep(0.05)
        assert len(server.asked) == 3
        held[0].cancel()
        assert text_of(await waiting) == words(0, 1)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_connections_are_used_again(server: ChatServer) -> None:
    async with open_backend(server) as backend:
        for _ in range(5):
            await collect(backend, job(max_tokens=2))
    assert server.connections == 1


async def test_a_server_that_was_away_is_found_again(server: ChatServer) -> None:
    server.replies.append(Reply([chunk("a")], cut=True))
    server.models = [{"id": MODEL, "max_model_len": 100}]
    async with open_backend(server) as backend:
        server.models = error(503, "loading")
        with pytest.raises(Unavailable):
            await collect(backend, job())
        assert not backend.ready
        await asyncio.sleep(0.1)
        assert not backend.ready
        server.models = [{"id": MODEL}]
        async with asyncio.timeout(5):
            while not backend.ready:  # noqa: ASYNC110 - as the consumer looks at it
                await asyncio.sleep(0.01)
        assert text_of(await collect(backend, job(max_tokens=2))) == words(0, 2)


async def test_a_busy_server_is_not_away(server: ChatServer) -> None:
    server.replies.append(error(429, "busy"))
    async with open_backend(server, patience_seconds=0.0) as backend:
        with pytest.raises(Unavailable):
            await collect(backend, job())
        assert backend.ready
