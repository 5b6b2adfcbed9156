"""The rules of GraphQL over HTTP, one by one."""

from __future__ import annotations

import asyncio
import json

import pytest
from graphql import get_introspection_query

from parley_gateway.entrypoints.graphql.engine import Engine
from parley_gateway.testing.socket import connect
from parley_gateway.testing.stack import Stack, open_stack

JSON = {"content-type": "application/json"}
STRICT = {"accept": "application/graphql-response+json"}
GET = {"x-requested-with": "test"}


def code(body: bytes) -> str:
    found: str = json.loads(body)["errors"][0]["extensions"]["code"]
    return found


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'[{"query": "{ __typename }"}]', 400),
        (b"null", 400),
        (b'"{ __typename }"', 400),
        (b'{"query": 1}', 400),
        (b'{"query": "{ __typename }", "variables": []}', 400),
        (b'{"query": "{ __typename }", "operationName": {}}', 400),
        (b'{"query": "{ __typename }", "extensions": 1}', 400),
        (b'{"query": "{ __typename }", "variables": {"a": NaN}}', 400),
        (b'{"query": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}", 400),
        (b'{"query": "{ __typename }", "variables": {"a": ' + b"1" * 5000 + b"}}", 400),
        (b'{"query": "' + b" " * 2_000_000 + b'{ __typename }"}', 413),
    ],
)
async def test_bodies_that_are_no_request(stack: Stack, content: bytes, status: int) -> None:
    reply = await stack.http.post("/graphql", content=content, headers=JSON)
    assert (reply.status_code, code(reply.content)) == (status, "BAD_INPUT")
    assert reply.headers["content-type"].startswith("application/json")


async def test_a_body_too_large_is_refused_without_its_length(stack: Stack) -> None:
    async def chunks() -> object:
        for _ in range(40):
            yield b" " * 65_536

    reply = await stack.http.post("/graphql", content=chunks(), headers=JSON)  # type: ignore[arg-type] # a generator
    assert reply.status_code == 413


async def test_a_body_too_large_is_refused_though_it_never_comes(stack: Stack) -> None:
    head = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\r\n{"
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
        writer.write(head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_the_longest_content_in_its_longest_form_fits(stack: Stack) -> None:
    conversation = stack.conversations.add_conversation(stack.user.id)
    query = (
        "mutation($c: String!, $id: ID!) "
        "{ sendMessage(input: {conversationId: $id, content: $c}) { generation { id } } }"
    )
    content = "\U0001f600" * 100_000
    body = json.dumps({"query": query, "variables": {"c": content, "id": conversation.id}})
    headers = {**JSON, "authorization": f"Bearer {stack.token}"}
    reply = await stack.http.post("/graphql", content=body, headers=headers)
    assert "errors" not in reply.json()
    assert stack.conversations.sent[0].content == content


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "x"])
async def test_post_that_is_not_json(stack: Stack, kind: str) -> None:
    reply = await stack.http.post("/graphql", content=b'{"query": "{ __typename }"}', headers={"content-type": kind})
    assert (reply.status_code, code(reply.content)) == (415, "BAD_INPUT")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", 'application/json;charset="UTF-8"', "APPLICATION/JSON"]
)
async def test_forms_of_the_content_type(stack: Stack, kind: str) -> None:
    reply = await stack.http.post("/graphql", content=b'{"query": "{ __typename }"}', headers={"content-type": kind})
    assert reply.json() == {"data": {"__typename": "Query"}}


async def test_get_needs_a_header_that_no_form_sends(stack: Stack) -> None:
    params = {"query": "query($id: ID!) { __typename node(id: $id) { id } }", "variables": '{"id": "x"}'}
    plain = await stack.http.get("/graphql", params=params)
    assert (plain.status_code, code(plain.content)) == (403, "FORBIDDEN")
    form = await stack.http.get("/graphql", params=params, headers={"content-type": "text/plain"})
    assert form.status_code == 403
    assert (await stack.http.get("/graphql", params=params, headers=GET)).status_code == 200
    assert (await stack.http.get("/graphql", params=params, headers=JSON)).status_code == 200


async def test_get_parameters(stack: Stack) -> None:
    params = {"query": "query A { __typename } query B { b: __typename }", "operationName": "B", "variables": "{}"}
    assert (await stack.http.get("/graphql", params=params, headers=GET)).json() == {"data": {"b": "Query"}}
    bad = await stack.http.get("/graphql", params={**params, "variables": "{"}, headers=GET)
    assert (bad.status_code, code(bad.content)) == (400, "BAD_INPUT")


async def test_a_mutation_by_get(stack: Stack) -> None:
    reply = await stack.http.get("/graphql", params={"query": "mutation { __typename }"}, headers=GET)
    assert (reply.status_code, code(reply.content)) == (405, "BAD_INPUT")
    assert reply.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods(stack: Stack, method: str) -> None:
    for path in ("/graphql", "/graphql/stream"):
        reply = await stack.http.request(method, path)
        assert (reply.status_code, code(reply.content)) == (405, "BAD_INPUT")


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        ("{ me { } }", None, "GRAPHQL_PARSE_FAILED"),
        ("", None, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", None, "GRAPHQL_VALIDATION_FAILED"),
        ('{ conversations(first: "x") { edges { cursor } } }', None, "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: ID!) { node(id: $id) { id } }", {}, "BAD_INPUT"),
        ("query($id: ID!) { node(id: $id) { id } }", {"id": None}, "BAD_INPUT"),
        ("query A { __typename } query B { __typename }", None, "BAD_INPUT"),
        ('subscription { generation(id: "x") { __typename } }', None, "BAD_INPUT"),
    ],
)
async def test_refused_documents(stack: Stack, query: str, variables: object, expected: str) -> None:
    body = {"query": query, "variables": variables}
    lenient = await stack.http.post("/graphql", json=body, headers={"accept": "application/json"})
    assert (lenient.status_code, code(lenient.content)) == (200, expected)
    strict = await stack.http.post("/graphql", json=body, headers=STRICT)
    assert (strict.status_code, code(strict.content)) == (400, expected)
    assert strict.headers["content-type"].startswith("application/graphql-response+json")
    assert "data" not in strict.json()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/graphql-response+json, application/json", "application/graphql-response+json"),
        ("application/graphql-response+json;q=0.5, application/json", "application/json"),
        ("application/json;q=0, application/graphql-response+json", "application/graphql-response+json"),
    ],
)
async def test_negotiation(stack: Stack, accept: str, expected: str) -> None:
    reply = await stack.http.post("/graphql", json={"query": "{ __typename }"}, headers={"accept": accept})
    assert reply.headers["content-type"] == f"{expected}; charset=utf-8"


async def test_a_type_that_is_not_served(stack: Stack) -> None:
    reply = await stack.http.post("/graphql", json={"query": "{ __typename }"}, headers={"accept": "image/png"})
    assert (reply.status_code, code(reply.content)) == (406, "BAD_INPUT")


@pytest.mark.parametrize(
    "query",
    [
        "{" + "node(id: 1) { ... on Conversation { messages { edges { node { generation {" * 10 + "id" + "}" * 60 + "}",
        "{" + " ".join(f"a{n}: models {{ name }}" for n in range(1000)) + "}",
        "{" + "models { name } " * 1000 + "}",
        "{ models " + "@skip(if: false) " * 1000 + "{ name } }",
        "{ __typename " + "#\n" * 5000 + "}",
        "{ ...a0 }" + "".join(f"fragment a{n} on Query {{ ...a{n + 1} ...a{n + 1} }}" for n in range(40)),
        "{ ...a0 }"
        + "".join(f"fragment a{n} on Query {{ x: node(id: 1) {{ id }} ...a{n + 1} ...a{n + 1} }}" for n in range(40))
        + "fragment a40 on Query { models { name } }",
        "{" * 100_000,
        "query(" + "$a: Int " * 20_000 + ") { __typename }",
    ],
)
async def test_greedy_documents(stack: Stack, query: str) -> None:
    reply = await stack.http.post("/graphql", json={"query": query})
    assert reply.status_code == 200
    assert code(reply.content) in ("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED")
    assert reply.elapsed.total_seconds() < 2


async def test_generous_documents(stack: Stack) -> None:
    aliased = "{" + " ".join(f"a{n}: models {{ name }}" for n in range(30)) + "}"
    for query in (get_introspection_query(), aliased):
        assert "errors" not in (await stack.http.post("/graphql", json={"query": query})).json()


async def test_production_shows_no_schema() -> None:
    async with open_stack(env="production") as stack:
        reply = await stack.http.post("/graphql", json={"query": "{ __schema { types { name } } }"})
        assert code(reply.content) == "GRAPHQL_VALIDATION_FAILED"
        misspelt = await stack.http.post("/graphql", json={"query": "{ modelz }"})
        assert "Did you mean" not in misspelt.text
        for path in ("/graphql", "/graphql?ide=graphiql"):
            page = await stack.http.get(path, headers={"accept": "text/html"})
            assert page.status_code == 406


async def test_the_explorer_is_served_to_browsers(stack: Stack) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = await stack.http.get("/graphql", headers={"accept": accept})
    assert page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_graphiql_is_a_click_away(stack: Stack) -> None:
    explorer = await stack.http.get("/", headers={"accept": "text/html"}, follow_redirects=True)
    assert 'href="?ide=graphiql"' in explorer.text
    page = await stack.http.get("/graphql?ide=graphiql", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "GraphiQL.createFetcher" in page.text


async def test_the_explorer_answers_no_query(stack: Stack) -> None:
    reply = await stack.http.get("/graphql", params={"query": "{ __typename }"}, headers={"accept": "text/html"})
    assert 400 <= reply.status_code < 500
    assert reply.headers["content-type"].startswith("application/json")


async def test_pages_in_pages(stack: Stack) -> None:
    page = "conversations(first: 200) { edges { node { messages(last: $n) { edges { node { id } } } } } }"
    one = f"query($n: Int) {{ {page} }}"
    assert "errors" not in await stack.ask(one, {"n": 200})
    two = f"query($n: Int) {{ a: {page} ...b }} fragment b on Query {{ b: {page} }}"
    assert "errors" not in await stack.ask(two, {"n": 2})
    response = await stack.ask(two, {"n": 200})
    assert response["errors"][0]["extensions"]["code"] == "BAD_INPUT"


async def test_too_many_requests_at_once() -> None:
    async with open_stack(gateway_max_requests=1) as stack:
        stack.conversations.gate.clear()
        first = asyncio.create_task(stack.ask("{ conversations { edges { cursor } } }"))
        await stack.conversations.until_called("List")
        refused = await stack.http.post("/graphql", json={"query": "{ __typename }"})
        assert (refused.status_code, code(refused.content)) == (503, "OVERLOADED")
        assert int(refused.headers["retry-after"]) >= 1
        stack.conversations.gate.set()
        assert "errors" not in await first


async def test_a_bug_outside_of_resolvers_is_masked(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Engine, "prepare", fail)
    reply = await stack.http.post("/graphql", json={"query": "{ __typename }"})
    assert (reply.status_code, code(reply.content)) == (500, "INTERNAL")
    assert "secret" not in reply.text
    async with connect(stack.port) as client:
        await client.init()
        await client.subscribe("{ __typename }")
        (frame,) = await client.until_end()
        assert frame["payload"][0]["extensions"]["code"] == "INTERNAL"
        assert frame["payload"][0]["extensions"]["requestId"]


async def test_ready_once_the_default_model_is_served(stack: Stack) -> None:
    assert (await stack.http.get("/readyz")).status_code == 200
    stack.conversations.models[0].available = False
    assert (await stack.http.get("/readyz")).status_code == 503
    assert (await stack.http.get("/livez")).status_code == 200
    metrics = (await stack.http.get("/metrics")).text
    assert "parley_gateway_operation_seconds" in metrics


async def test_cors_only_for_the_origins_listed() -> None:
    async with open_stack(gateway_origins="https://a.example.org, https://chat.example.org/") as stack:
        for origin, allowed in (("https://chat.example.org", True), ("https://evil.example.org", False)):
            reply = await stack.http.post("/graphql", json={"query": "{ __typename }"}, headers={"origin": origin})
            assert ("access-control-allow-origin" in reply.headers) is allowed
