"""Whatever arrives gets a typed error within two seconds: never a 5xx, a hang, or a stack trace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from support.graphql import TRANSPORTS, Http, Json, bearer, code_of, open_socket, receive, send
from support.people import (
    CREATE,
    DELETE,
    GET,
    GET_GENERATION,
    LIST,
    MESSAGES,
    NODE,
    PASSWORD,
    REGENERATE,
    SEND,
    SIGN_IN,
    SIGN_UP,
    STOP,
    UPDATE,
    Person,
    new_email,
)
from support.platform import Platform
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

LIMIT_SECONDS = 2.0
SUBSCRIBE = "subscription ($id: ID!, $after: Int) { generation(id: $id, after: $after) { __typename } }"
ABSENT = "018f0000-0000-7000-8000-000000000000"

BAD_IDS = ["", "1", "x" * 10_000, ABSENT[:-1], ABSENT + "0", "{" + ABSENT + "}", "\ud800", "\x00", "id'; DROP TABLE"]
ID_DOCUMENTS = {
    "node": NODE,
    "conversation": GET,
    "generation": GET_GENERATION,
    "delete": DELETE,
    "stop": STOP,
    "messages": MESSAGES,
}
BAD_PARAMETERS: list[dict[str, Any]] = [
    {"maxTokens": 0},
    {"maxTokens": -1},
    {"maxTokens": 2**31},
    {"maxTokens": 1.5},
    {"maxTokens": "12"},
    {"temperature": -0.1},
    {"temperature": 2.1},
    {"temperature": "hot"},
    {"topP": -0.1},
    {"topP": 1.1},
    {"topK": -1},
    {"seed": 2**31},
    {"stop": ["x"] * 9},
    {"stop": [None]},
    {"unknown": 1},
]


class TimedClient(httpx.AsyncClient):
    """Fails for each answer that took longer than is promised."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        started = time.monotonic()
        response = await super().send(request, **options)
        assert time.monotonic() - started < LIMIT_SECONDS, request
        return response


@pytest.fixture
async def http(platform: Platform) -> AsyncIterator[Http]:
    async with TimedClient(timeout=10 * LIMIT_SECONDS) as client:
        yield Http(platform.url, client)


async def receive_in_time(socket: ClientConnection) -> Json:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await receive(socket)


@pytest.fixture(scope="module")
def shared(platform: Platform) -> dict[str, Any]:
    """What is made on one platform is not there on the next."""
    return {}


@pytest.fixture
async def eve(http: Http, shared: dict[str, Any]) -> Person:
    """One user and one conversation for every case of this module."""
    if not shared:
        details = {"email": new_email(), "password": PASSWORD, "displayName": "Eve"}
        shared["session"] = (await http.data(SIGN_UP, {"input": details}))["session"]
    session = shared["session"]
    person = Person(http, session["user"]["email"], session["accessToken"], "", session["user"]["id"])
    if "conversation" not in shared:
        shared["conversation"] = await person.create()
    return person


@pytest.mark.parametrize("bad", BAD_IDS, ids=range(len(BAD_IDS)))
async def test_a_malformed_id_is_bad_input_everywhere(eve: Person, bad: str) -> None:
    codes = {name: await eve.code(document, id=bad) for name, document in ID_DOCUMENTS.items()}
    codes["update"] = await eve.code(UPDATE, input={"id": bad, "title": "x"})
    codes["send"] = await eve.code(SEND, input={"conversationId": bad, "content": "x"})
    codes["regenerate"] = await eve.code(REGENERATE, input={"messageId": bad})
    for transport, stream in TRANSPORTS.items():
        async with asyncio.timeout(LIMIT_SECONDS):
            async for answer in stream(eve.http.url, eve.token, SUBSCRIBE, {"id": bad}):
                codes[transport] = code_of(answer)
    assert set(codes.values()) == {"BAD_INPUT"}, codes
    assert len(codes) == len(ID_DOCUMENTS) + 3 + len(TRANSPORTS)


async def test_an_absent_id_is_null_for_queries_and_not_found_for_the_rest(eve: Person) -> None:
    assert await eve.data(NODE, id=ABSENT) == {"node": None}
    assert await eve.data(GET, id=ABSENT) == {"conversation": None}
    assert await eve.data(GET_GENERATION, id=ABSENT) == {"generation": None}
    assert await eve.code(STOP, id=ABSENT) == "NOT_FOUND"
    for stream in TRANSPORTS.values():
        answers = [answer async for answer in stream(eve.http.url, eve.token, SUBSCRIBE, {"id": ABSENT})]
        assert [code_of(answer) for answer in answers] == ["NOT_FOUND"]


@pytest.mark.parametrize("content", ["", " ", "\n\t \u3000", "x" * 100_001, "\ud800"], ids=range(5))
async def test_content_that_is_nothing_or_too_much_is_refused(
    eve: Person, shared: dict[str, Any], content: str
) -> None:
    assert await eve.code(SEND, input={"conversationId": shared["conversation"], "content": content}) == "BAD_INPUT"
    assert await eve.messages(shared["conversation"]) == []


async def test_content_of_the_greatest_length_is_taken_as_it_is(eve: Person) -> None:
    conversation = await eve.create()
    content = "é🌍" * 50_000
    sent = await eve.send(conversation, content, parameters={"maxTokens": 1})
    assert sent["userMessage"]["content"] == content


@pytest.mark.parametrize("parameters", BAD_PARAMETERS, ids=str)
async def test_parameters_out_of_range_are_bad_input(
    eve: Person, shared: dict[str, Any], parameters: dict[str, Any]
) -> None:
    details = {"conversationId": shared["conversation"], "content": "x", "parameters": parameters}
    assert await eve.code(SEND, input=details) == "BAD_INPUT"


async def test_other_fields_out_of_range_are_bad_input(eve: Person, shared: dict[str, Any]) -> None:
    conversation = shared["conversation"]
    assert await eve.code(CREATE, input={"title": "x" * 201}) == "BAD_INPUT"
    assert await eve.code(CREATE, input={"model": "no-such-model"}) == "BAD_INPUT"
    assert await eve.code(UPDATE, input={"id": conversation, "title": "x" * 201}) == "BAD_INPUT"
    assert await eve.code(UPDATE, input={"id": conversation, "model": "no-such-model"}) == "BAD_INPUT"
    details = {"conversationId": conversation, "content": "x", "requestId": "r" * 65}
    assert await eve.code(SEND, input=details) == "BAD_INPUT"
    for first in (0, -1, 201, 2**31):
        assert await eve.code(LIST, first=first) == "BAD_INPUT"
        assert await eve.code(MESSAGES, id=conversation, last=first) == "BAD_INPUT"
    for cursor in ("", "nonsense", "\ud800", "AAAA" * 1000, "eyJ9"):
        assert await eve.code(LIST, after=cursor) == "BAD_INPUT"
        assert await eve.code(MESSAGES, id=conversation, before=cursor) == "BAD_INPUT"
    for stream in TRANSPORTS.values():
        answers = [answer async for answer in stream(eve.http.url, eve.token, SUBSCRIBE, {"id": ABSENT, "after": -1})]
        assert [code_of(answer) for answer in answers] == ["BAD_INPUT"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "no-at-sign"},
        {"email": ""},
        {"email": "a" * 300 + "@example.org"},
        {"password": "short"},
        {"password": "x" * 100_000},
        {"displayName": ""},
        {"displayName": "x" * 10_000},
        {"displayName": "\ud800"},
        {"displayName": None},
        {"extra": 1},
    ],
    ids=lambda wrong: "-".join(wrong),
)
async def test_a_sign_up_with_a_bad_field_is_bad_input(http: Http, wrong: dict[str, Any]) -> None:
    details = {"email": new_email(), "password": PASSWORD, "displayName": "Eve", **wrong}
    assert await http.code(SIGN_UP, {"input": details}) == "BAD_INPUT"


async def test_documents_that_are_no_graphql_say_so(eve: Person) -> None:
    for document in ("", "{", "query {", "}{", "\x00", "{ me { id } ", "🌍"):
        assert await eve.code(document) == "GRAPHQL_PARSE_FAILED", document
    for document in (
        "{ nothing }",
        "{ me { nothing } }",
        "mutation { signIn }",
        "query Q { me { id } } query Q { me { id } }",
    ):
        assert await eve.code(document) == "GRAPHQL_VALIDATION_FAILED", document


async def test_deep_and_wide_documents_are_refused(eve: Person) -> None:
    nested = "{ __schema { types { " + "ofType: interfaces { " * 50 + "name" + " }" * 50 + " } } }"
    aliases = "{ " + " ".join(f"a{number}: me {{ id }}" for number in range(1000)) + " }"
    directives = "{ me { id " + "@include(if: true) " * 2000 + "} }"
    fragments = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
    for document in (nested, aliases, directives, fragments):
        assert await eve.code(document) in {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_INPUT"}


RAW_BODIES = {
    "not json": b"{",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "empty": b"",
    "no query": b"{}",
    "query is a number": b'{"query": 1}',
    "variables are a list": b'{"query": "{ __typename }", "variables": []}',
    "not utf-8": b'{"query": "\xff"}',
    "deep": b"[" * 100_000,
    "nan": b'{"query": "query ($x: Float) { __typename }", "variables": {"x": NaN}}',
    "huge number": b'{"query": "{ __typename }", "variables": {"x": 1' + b"0" * 5000 + b"}}",
}


@pytest.mark.parametrize("name", RAW_BODIES)
async def test_a_body_that_is_no_request_is_a_typed_4xx(http: Http, name: str) -> None:
    for path in ("/graphql", "/graphql/stream"):
        response = await http.client.post(
            f"{http.url}{path}", content=RAW_BODIES[name], headers={"content-type": "application/json"}
        )
        if name in {"nan", "huge number"} and response.status_code == 200:
            continue
        assert 400 <= response.status_code < 500, (path, response.text)
        assert code_of(response.json())


async def test_the_rules_of_methods_and_media_types(eve: Person) -> None:
    url, client = f"{eve.http.url}/graphql", eve.http.client
    plain = await client.post(url, content=b"query=%7Bme%7Bid%7D%7D", headers={"content-type": "text/plain"})
    form = await client.post(url, data={"query": "{ me { id } }"})
    assert (plain.status_code, form.status_code) == (415, 415)
    mutation = await client.get(
        url,
        params={"query": 'mutation { signOut(refreshToken: "x") }'},
        headers={"content-type": "application/json", "graphql-require-preflight": "1", "x-requested-with": "tests"},
    )
    assert mutation.status_code == 405
    simple = await client.get(url, params={"query": "{ __typename }"}, headers={"accept": "application/json"})
    assert 400 <= simple.status_code < 500
    for response in (plain, form, mutation, simple):
        assert code_of(response.json())
    assert (await client.delete(url)).status_code == 405
    assert (await client.get(f"{eve.http.url}/nothing/here")).status_code == 404


async def test_a_body_of_ten_megabytes_is_refused_without_reading_it_all(eve: Person) -> None:
    body = json.dumps({"query": SEND, "variables": {"input": {"content": "x" * 10_000_000}}}).encode()
    for path in ("/graphql", "/graphql/stream"):
        headers = {"content-type": "application/json", **bearer(eve.token)}
        try:
            response = await eve.http.client.post(f"{eve.http.url}{path}", content=body, headers=headers)
        except httpx.WriteError:
            continue  # the server may close the connection on whoever goes on sending
        assert response.status_code == 413
        assert code_of(response.json())
    assert (await eve.data("{ me { id } }"))["me"]["id"] == eve.id


GARBAGE_FRAMES: dict[str, tuple[str | bytes, int]] = {
    "not json": ("{", 4400),
    "a list": ("[]", 4400),
    "a number": ("1", 4400),
    "null": ("null", 4400),
    "no type": ('{"id": "1"}', 4400),
    "unknown type": ('{"type": "start"}', 4400),
    "subscribe without id": ('{"type": "subscribe", "payload": {"query": "{ me { id } }"}}', 4400),
    "subscribe without payload": ('{"type": "subscribe", "id": "1"}', 4400),
    "binary": (b"\x00\xff\xfe", 4400),
    "second init": ('{"type": "connection_init"}', 4429),
}


@pytest.mark.parametrize("name", GARBAGE_FRAMES)
async def test_a_frame_that_means_nothing_closes_the_socket_with_its_code(eve: Person, name: str) -> None:
    frame, code = GARBAGE_FRAMES[name]
    async with open_socket(eve.http.url, eve.token) as socket:
        await socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await receive_in_time(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def test_a_frame_of_ten_megabytes_closes_the_socket(eve: Person) -> None:
    async with open_socket(eve.http.url, eve.token) as socket:
        frame = {"id": "1", "type": "subscribe", "payload": {"query": "x" * 10_000_000}}
        with pytest.raises(ConnectionClosed):
            await asyncio.gather(send(socket, frame), receive_in_time(socket))


async def test_an_invalid_operation_gets_an_error_frame_and_the_socket_stays(eve: Person) -> None:
    async with open_socket(eve.http.url, eve.token) as socket:
        for number, document in enumerate(("{", "{ nothing }", "subscription { nothing }")):
            await send(socket, {"id": str(number), "type": "subscribe", "payload": {"query": document}})
            frame = await receive_in_time(socket)
            assert (frame["type"], frame["id"]) == ("error", str(number))
            assert code_of({"errors": frame["payload"]})
        await send(socket, {"type": "ping", "payload": {"echo": [1]}})
        assert await receive_in_time(socket) == {"type": "pong", "payload": {"echo": [1]}}


async def test_a_bad_token_closes_the_socket_and_is_typed_over_http(http: Http) -> None:
    assert await http.code("{ me { id } }", token="nonsense") == "UNAUTHENTICATED"
    async with open_socket(http.url, init=False) as socket:
        await send(socket, {"type": "connection_init", "payload": bearer("nonsense")})
        with pytest.raises(ConnectionClosed) as closed:
            await receive_in_time(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


async def test_five_hundred_idle_sockets_are_in_nobodys_way(eve: Person) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(10):
            opened = [stack.enter_async_context(open_socket(eve.http.url, eve.token)) for _ in range(50)]
            await asyncio.gather(*opened)
        assert (await eve.data("{ me { id } }"))["me"]["id"] == eve.id


async def test_signing_in_with_nonsense_is_typed(http: Http) -> None:
    for details in ({"email": "\ud800", "password": "x"}, {"email": "", "password": ""}):
        assert await http.code(SIGN_IN, {"input": details}) in {"BAD_INPUT", "UNAUTHENTICATED"}
