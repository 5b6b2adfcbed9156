"""R9: one user never reaches another's object, by any id, on any transport.

The cases are generated from the running schema: an operation that takes an id and is not covered fails the test.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.graphql import TRANSPORTS, Http, Json, code_of
from support.people import LIST, MESSAGES, Person, sign_up
from support.platform import Platform

INTROSPECTION = """
query {
  __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types {
      name kind
      fields { name args { name type { ...T } } type { ...T } }
      inputFields { name type { ...T } }
    }
  }
}
fragment T on __Type { name kind ofType { name kind ofType { name kind ofType { name kind } } } }
"""

SEND_BELOW = """
mutation ($id: ID!, $own: ID!) {
  sendMessage(input: {conversationId: $own, parentId: $id, content: "x"}) { generation { id } }
}
"""
LIST_TO_LEAF = """
query ($id: ID!, $own: ID!) { conversation(id: $own) { messages(leaf: $id) { edges { node { id content } } } } }
"""

# Each place where the schema takes an id: what kind of object it names, and a document that names it alone.
PLACES: dict[str, tuple[str, str]] = {
    "Query.node(id)": ("any", "query ($id: ID!) { node(id: $id) { id } }"),
    "Query.conversation(id)": ("conversation", "query ($id: ID!) { conversation(id: $id) { id title } }"),
    "Query.generation(id)": ("generation", "query ($id: ID!) { generation(id: $id) { id state } }"),
    "Mutation.updateConversation(input.id)": (
        "conversation",
        'mutation ($id: ID!) { updateConversation(input: {id: $id, title: "mine"}) { id } }',
    ),
    "Mutation.deleteConversation(id)": ("conversation", "mutation ($id: ID!) { deleteConversation(id: $id) }"),
    "Mutation.sendMessage(input.conversationId)": (
        "conversation",
        'mutation ($id: ID!) { sendMessage(input: {conversationId: $id, content: "x"}) { generation { id } } }',
    ),
    "Mutation.sendMessage(input.parentId)": ("message", SEND_BELOW),
    "Mutation.regenerate(input.messageId)": (
        "answer",
        "mutation ($id: ID!) { regenerate(input: {messageId: $id}) { generation { id } } }",
    ),
    "Mutation.stopGeneration(id)": ("generation", "mutation ($id: ID!) { stopGeneration(id: $id) { id } }"),
    "Subscription.generation(id)": (
        "generation",
        "subscription ($id: ID!) { generation(id: $id) { __typename ... on TokenDelta { text } } }",
    ),
    "Conversation.messages(leaf)": ("message", LIST_TO_LEAF),
}


@dataclass
class Objects:
    """Two users, and her ids by kind."""

    ada: Person
    bob: Person
    hers: dict[str, str]
    his_conversation: str

    def attempts(self, place: str) -> dict[str, Json]:
        """Variables that name each of her objects that fit the place, and some that name nothing."""
        kind = PLACES[place][0]
        kinds = [name for name in self.hers if kind in {"any", name} or (kind, name) == ("message", "answer")]
        ids = {"absent": str(uuid.uuid4()), **{name: self.hers[name] for name in kinds}}
        own = {"own": self.his_conversation} if "$own" in PLACES[place][1] else {}
        return {name: {"id": object_id, **own} for name, object_id in ids.items()}


@pytest.fixture(scope="module")
def shared(platform: Platform) -> dict[str, Any]:
    """What is made on one platform is not there on the next."""
    return {}


@pytest.fixture
async def objects(http: Http, shared: dict[str, Any]) -> Objects:
    """The same two users and objects for every case: none of what bob tries may change anything."""
    if not shared:
        shared.update(vars(await _make_objects(http)))
    ada, bob = (replace(shared[name], http=http) for name in ("ada", "bob"))
    return Objects(ada, bob, shared["hers"], shared["his_conversation"])


async def _make_objects(http: Http) -> Objects:
    ada, bob = await sign_up(http), await sign_up(http)
    conversation = await ada.create(title="Hers")
    sent, _ = await ada.ask(conversation, "Secret", parameters={"maxTokens": 1})
    hers = {
        "user": ada.id,
        "conversation": conversation,
        "message": sent["userMessage"]["id"],
        "answer": (await ada.messages(conversation))[1]["id"],
        "generation": sent["generation"]["id"],
    }
    return Objects(ada, bob, hers, await bob.create(title="His"))


async def ask(http: Http, transport: str, token: str, document: str, variables: Json) -> Json:
    """The first answer, whatever the transport."""
    if transport == "http":
        return await http.post(document, variables, token)
    async with aclosing(TRANSPORTS[transport](http.url, token, document, variables)) as answers:
        return await anext(answers)


def transports_of(place: str) -> list[str]:
    return ["ws", "sse"] if place.startswith("Subscription") else ["http", "ws", "sse"]


CASES = [(place, transport) for place in PLACES for transport in transports_of(place)]


@pytest.mark.parametrize(("place", "transport"), CASES)
async def test_anothers_id_looks_exactly_like_an_absent_one(objects: Objects, place: str, transport: str) -> None:
    answers = {}
    for name, variables in objects.attempts(place).items():
        answer = await ask(objects.bob.http, transport, objects.bob.token, PLACES[place][1], variables)
        answers[name] = _without_ids(answer)
    absent = answers["absent"]
    assert all(answer == absent for answer in answers.values()), answers
    if absent.get("errors"):
        assert code_of(absent) == "NOT_FOUND"
    else:
        assert place.startswith("Query")
        assert set(absent["data"].values()) == {None}


async def test_what_bob_tried_left_no_trace_at_adas(objects: Objects) -> None:
    for place, transport in CASES:
        for variables in objects.attempts(place).values():
            await ask(objects.bob.http, transport, objects.bob.token, PLACES[place][1], variables)
    conversation = objects.hers["conversation"]
    assert [message["content"] for message in await objects.ada.messages(conversation)] == ["Secret", "w0 "]
    data = await objects.ada.data("query ($id: ID!) { conversation(id: $id) { title } }", id=conversation)
    assert data["conversation"]["title"] == "Hers"


async def test_anothers_cursor_opens_nothing(objects: Objects) -> None:
    """Cursors name places in a list, and must not lead into somebody else's."""
    ada, bob = objects.ada, objects.bob
    hers = (await ada.data(MESSAGES, id=objects.hers["conversation"]))["conversation"]["messages"]
    for cursor in (hers["pageInfo"]["startCursor"], hers["pageInfo"]["endCursor"]):
        answer = await bob.http.post(MESSAGES, {"id": objects.his_conversation, "before": cursor}, bob.token)
        assert "Secret" not in json.dumps(answer)
        assert "w0" not in json.dumps(answer)
    listed = (await ada.data(LIST))["conversations"]["pageInfo"]["endCursor"]
    page = await bob.http.post(LIST, {"after": listed}, bob.token)
    assert objects.hers["conversation"] not in json.dumps(page)


async def test_without_a_token_no_operation_says_anything(objects: Objects) -> None:
    for place, transport in CASES:
        for variables in objects.attempts(place).values():
            answer = await ask(objects.bob.http, transport, "", PLACES[place][1], variables)
            assert code_of(answer) == "UNAUTHENTICATED", (place, transport)


async def test_every_place_of_the_schema_that_takes_an_id_is_covered(http: Http, ada: Person) -> None:
    schema = (await http.data(INTROSPECTION, token=ada.token))["__schema"]
    assert set(_places(schema)) == set(PLACES)


def _places(schema: Json) -> Iterator[str]:
    """`Type.field(argument)` and `Type.field(input.field)` wherever an ID can be given."""
    types = {kind["name"]: kind for kind in schema["types"] if not kind["name"].startswith("__")}
    for kind in types.values():
        for field in kind["fields"] or []:
            for argument in field["args"]:
                yield from _ids(types, f"{kind['name']}.{field['name']}(", argument["name"], argument["type"])


def _ids(types: dict[str, Any], prefix: str, path: str, type_: Json) -> Iterator[str]:
    while type_["ofType"]:
        type_ = type_["ofType"]
    if type_["name"] == "ID":
        yield f"{prefix}{path})"
    elif type_["kind"] == "INPUT_OBJECT":
        for field in types[type_["name"]]["inputFields"]:
            yield from _ids(types, prefix, f"{path}.{field['name']}", field["type"])


def _without_ids(answer: Json) -> Json:
    """An error may carry the id of its request, which is nobody's object."""
    for error in answer.get("errors", []):
        error["extensions"].pop("requestId", None)
    return answer
