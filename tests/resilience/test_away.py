"""While a service is away, a valid token gets UNAVAILABLE with a time to come again: never "sign in" or "not found"."""

from __future__ import annotations

import time
from pathlib import Path

from support.graphql import TRANSPORTS, Json, open_http
from support.people import DELETE, GET, LIST, ME, NODE, SEND, STOP, Person, sign_up
from support.stage import MODEL, open_stage

LIMIT_SECONDS = 2.0
READ = "subscription ($id: ID!) { generation(id: $id) { __typename } }"


async def assert_unavailable(person: Person, document: str, **variables: object) -> None:
    started = time.monotonic()
    answer = await person.http.post(document, variables, person.token)
    assert time.monotonic() - started < LIMIT_SECONDS, document
    _check(answer)


def _check(answer: Json) -> None:
    extensions = answer["errors"][0]["extensions"]
    assert extensions["code"] == "UNAVAILABLE", answer
    assert extensions["retryAfter"] > 0


async def test_without_the_conversation_service(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, open_http(stage.url) as http:
        ada = await sign_up(http)
        conversation = await ada.create(model=MODEL)
        sent = await ada.send(conversation, "Hello")
        await stage.conversation.aclose()
        await assert_unavailable(ada, GET, id=conversation)
        await assert_unavailable(ada, LIST)
        await assert_unavailable(ada, DELETE, id=conversation)
        await assert_unavailable(ada, NODE, id=conversation)
        await assert_unavailable(ada, STOP, id=sent["generation"]["id"])
        await assert_unavailable(ada, SEND, input={"conversationId": conversation, "content": "Hello?"})
        for stream in TRANSPORTS.values():
            answers = [it async for it in stream(http.url, ada.token, READ, {"id": sent["generation"]["id"]})]
            _check(answers[-1])
        assert (await ada.data(ME))["me"]["id"] == ada.id
        assert (await http.client.get(f"{http.url}/readyz")).status_code == 503
        assert (await http.client.get(f"{http.url}/livez")).status_code == 200


async def test_without_the_auth_service(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage, open_http(stage.url) as http:
        ada = await sign_up(http)
        conversation = await ada.create(model=MODEL)
        await stage.auth.aclose()
        await assert_unavailable(ada, ME)
        assert (await ada.data(GET, id=conversation))["conversation"]["id"] == conversation
