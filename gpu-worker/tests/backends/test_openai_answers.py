"""What the openai backend asks of a server, and what it makes of the bytes that come."""

from __future__ import annotations

from typing import Any

import pytest

from parley_kit.errors import BadInput, Unavailable
from parley_worker.backends.openai.dialects import Dialect
from parley_worker.core import FinishReason, Prefix, Usage
from parley_worker.testing.backends import words
from parley_worker.testing.chat_server import MODEL, ChatServer, Reply, answer, chunk, event, usage_chunk
from parley_worker.testing.openai import ask, collect, job, open_backend, text_of


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
