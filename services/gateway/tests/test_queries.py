"""Queries and mutations, from the client's side of the gateway."""

from __future__ import annotations

import pytest

from parley_gateway.testing.stack import Stack, open_stack
from parley_kit.errors import Overloaded, Unavailable
from parley_kit.ids import new_id
from parley_proto.conversation.v1 import types_pb2


def codes(response: dict[str, object]) -> list[str]:
    errors = response["errors"]
    assert isinstance(errors, list)
    return [error["extensions"]["code"] for error in errors]


async def test_me(stack: Stack) -> None:
    response = await stack.ask("{ me { id email displayName createdAt __typename } }")
    assert response == {
        "data": {
            "me": {
                "id": stack.user.id,
                "email": "ada@example.org",
                "displayName": "Ada",
                "createdAt": "2026-01-02T03:04:05.678Z",
                "__typename": "User",
            }
        }
    }


async def test_sign_up_tells_auth_the_address(stack: Stack) -> None:
    query = "mutation($input: SignUpInput!) { signUp(input: $input) { expiresIn user { email } } }"
    account = {"email": "new@example.org", "password": "a good one", "displayName": "New"}
    response = await stack.ask(query, {"input": account})
    assert response["data"]["signUp"] == {"expiresIn": 600, "user": {"email": "new@example.org"}}
    assert codes(await stack.ask(query, {"input": account})) == ["CONFLICT"]
    assert stack.auth.addresses == ["127.0.0.1", "127.0.0.1"]


async def test_forwarded_addresses_are_not_believed(stack: Stack) -> None:
    query = 'mutation { signUp(input: {email: "e@f.org", password: "p", displayName: "d"}) { expiresIn } }'
    await stack.ask(query, **{"x-forwarded-for": "6.6.6.6"})
    assert stack.auth.addresses == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("6.6.6.6", "6.6.6.6"),
        ("made up, 1.1.1.1, 6.6.6.6", "6.6.6.6"),
        ("6.6.6.6:40123", "6.6.6.6"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "127.0.0.1"),
    ],
)
async def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_added(forwarded: str, address: str) -> None:
    """What stands before it is whatever the client sent: a throttle by it would be none."""
    query = 'mutation { signUp(input: {email: "e@f.org", password: "p", displayName: "d"}) { expiresIn } }'
    async with open_stack(gateway_trust_forwarded=True) as stack:
        await stack.ask(query, **{"x-forwarded-for": forwarded})
        assert stack.auth.addresses == [address]


async def test_an_expired_token_does_not_stop_a_sign_in(stack: Stack) -> None:
    stack.token = stack.auth.issue(stack.user.id, lifetime=-60)
    query = 'mutation { signIn(input: {email: "ada@example.org", password: "p"}) { user { id } } }'
    assert (await stack.ask(query))["data"]["signIn"]["user"]["id"] == stack.user.id
    assert codes(await stack.ask("{ me { id } }")) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer \u00fc", "x" * 5000])
async def test_bad_credentials(stack: Stack, value: str) -> None:
    reply = await stack.http.post(
        "/graphql", json={"query": "{ me { id } }"}, headers={"authorization": value.encode("utf-8")}
    )
    assert reply.status_code == 200
    assert codes(reply.json()) == ["UNAUTHENTICATED"]


async def test_absent_and_foreign_things_are_null(stack: Stack) -> None:
    foreign = stack.conversations.add_conversation("somebody else").id
    generation = stack.conversations.add_generation("somebody else").id
    query = "query($id: ID!) { node(id: $id) { id } conversation(id: $id) { id } generation(id: $id) { id } }"
    for key in (foreign, generation, new_id()):
        response = await stack.ask(query, {"id": key})
        assert response == {"data": {"node": None, "conversation": None, "generation": None}}


async def test_node_finds_every_kind(stack: Stack) -> None:
    mine = stack.user.id
    conversation = stack.conversations.add_conversation(mine)
    generation = stack.conversations.add_generation(mine, conversation.id)
    message = stack.conversations.finish(generation, "hello")
    query = "query($id: ID!) { node(id: $id) { __typename id } }"
    expected = {mine: "User", conversation.id: "Conversation", generation.id: "Generation", message.id: "Message"}
    for key, name in expected.items():
        assert (await stack.ask(query, {"id": key}))["data"]["node"] == {"__typename": name, "id": key}


@pytest.mark.parametrize(
    "field",
    [
        'node(id: "x") { id }',
        'conversation(id: "") { id }',
        'generation(id: "123") { id }',
        "conversations(first: 0) { edges { cursor } }",
        "conversations(first: 201) { edges { cursor } }",
    ],
)
async def test_bad_arguments(stack: Stack, field: str) -> None:
    assert codes(await stack.ask(f"{{ {field} }}")) == ["BAD_INPUT"]


async def test_null_means_the_default(stack: Stack) -> None:
    conversation = stack.conversations.add_conversation(stack.user.id)
    query = """query($n: Int, $archived: Boolean) { conversations(first: $n, archived: $archived) {
        edges { node { id messages(last: $n) { edges { cursor } } } } } }"""
    response = await stack.ask(query, {"n": None, "archived": None})
    assert response["data"]["conversations"]["edges"][0]["node"]["id"] == conversation.id


async def test_generations_of_a_page_are_loaded_together(stack: Stack) -> None:
    conversation = stack.conversations.add_conversation(stack.user.id)
    for _ in range(50):
        generation = stack.conversations.add_generation(stack.user.id, conversation.id)
        stack.conversations.finish(generation, "hello")
    query = """query($id: ID!) { conversation(id: $id) { messages { edges { node { generation { id state } } } } } }"""
    response = await stack.ask(query, {"id": conversation.id})
    edges = response["data"]["conversation"]["messages"]["edges"]
    assert [edge["node"]["generation"]["state"] for edge in edges] == ["COMPLETED"] * 50
    assert stack.conversations.calls["GetGenerations"] == 1


async def test_content_goes_through_unchanged(stack: Stack) -> None:
    conversation = stack.conversations.add_conversation(stack.user.id)
    query = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { userMessage { content } } }"
    content = "  \t\u00e9\U0001f600\u2028\u0000 \n"
    given = {"conversationId": conversation.id, "content": content, "parameters": {"seed": -1, "stop": ["a"]}}
    response = await stack.ask(query, {"input": given})
    assert response["data"]["sendMessage"]["userMessage"]["content"] == content
    sent = stack.conversations.sent[0]
    assert (sent.parameters.seed, list(sent.parameters.stop)) == (-1, ["a"])
    assert not sent.parameters.HasField("temperature")


async def test_null_takes_the_system_prompt_away_and_leaves_the_title(stack: Stack) -> None:
    conversation = stack.conversations.add_conversation(stack.user.id, "kept")
    conversation.system_prompt = "be brief"
    query = "mutation($input: UpdateConversationInput!) { updateConversation(input: $input) { title systemPrompt } }"
    given = {"id": conversation.id, "systemPrompt": None, "title": None}
    response = await stack.ask(query, {"input": given})
    assert response["data"]["updateConversation"] == {"title": "kept", "systemPrompt": None}


async def test_variables_that_do_not_fit(stack: Stack) -> None:
    query = "query($n: Int) { conversations(first: $n) { edges { cursor } } }"
    for value in (2**31, 1.5, "1", True, [1, 2], {}, 1e308):
        response = await stack.ask(query, {"n": value})
        assert codes(response) == ["BAD_INPUT"]
        assert "data" not in response


@pytest.mark.parametrize(
    "variables", ['{"id": "\\ud800"}', '{"\\udfff": 1, "id": "x"}', '{"id": "x", "y": ["\\ud83d"]}']
)
async def test_lone_surrogates(stack: Stack, variables: str) -> None:
    body = '{"query": "query($id: ID!) { node(id: $id) { id } }", "variables": ' + variables + "}"
    reply = await stack.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert codes(reply.json()) == ["BAD_INPUT"]


async def test_a_number_that_no_float_holds(stack: Stack) -> None:
    query = (
        "mutation($p: GenerationParameters, $id: ID!) "
        "{ regenerate(input: {messageId: $id, parameters: $p}) { generation { id } } }"
    )
    body = '{"query": "%s", "variables": {"id": "x", "p": {"temperature": %s}}}'
    for number in ("1" + "0" * 400, "1e400"):
        reply = await stack.http.post(
            "/graphql", content=body % (query, number), headers={"content-type": "application/json"}
        )
        assert codes(reply.json()) == ["BAD_INPUT"]


async def test_a_number_that_python_does_not_read(stack: Stack) -> None:
    response = await stack.ask("{ conversations(first: %s) { edges { cursor } } }" % ("9" * 5000))
    assert codes(response) == ["GRAPHQL_VALIDATION_FAILED"]
    assert "'Int'" in response["errors"][0]["message"]
    assert "out of range" in response["errors"][0]["message"]
    assert "sys." not in response["errors"][0]["message"]


async def test_a_variable_that_does_not_fit_is_named(stack: Stack) -> None:
    query = "query($n: Int) { conversations(first: $n) { edges { cursor } } }"
    message = (await stack.ask(query, {"n": 2**31}))["errors"][0]["message"]
    assert "$n" in message
    assert "32-bit" in message


async def test_what_may_be_tried_again_says_when(stack: Stack) -> None:
    stack.conversations.failure = Overloaded("too many at once", retry_after=2.5)
    response = await stack.ask("{ conversations { edges { cursor } } }")
    assert response["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryAfter": 2.5}
    stack.conversations.failure = Unavailable("the store is away")
    assert codes(await stack.ask("{ conversations { edges { cursor } } }")) == ["UNAVAILABLE"]


async def test_a_bug_is_masked(stack: Stack) -> None:
    stack.conversations.failure = RuntimeError("secret detail")
    response = await stack.ask("{ conversations { edges { cursor } } }")
    assert "secret" not in str(response)
    assert response["errors"][0]["message"] == "internal error"
    assert response["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert response["errors"][0]["extensions"]["requestId"]


async def test_a_bug_of_the_gateway_itself_is_masked(stack: Stack) -> None:
    generation = stack.conversations.add_generation(stack.user.id)
    generation.state = types_pb2.GENERATION_STATE_UNSPECIFIED
    response = await stack.ask("query($id: ID!) { generation(id: $id) { state } }", {"id": generation.id})
    assert response["data"] == {"generation": None}
    assert response["errors"][0]["message"] == "internal error"
    assert response["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert response["errors"][0]["extensions"]["requestId"]
