"""The template says what graphql-core says."""

from __future__ import annotations

import orjson
import pytest
from graphql import Executor, get_operation_ast, parse, validate

from parley_gateway.entrypoints.graphql.schema import build_schema, core_schema
from parley_gateway.entrypoints.graphql.subscription import TokenDelta
from parley_gateway.entrypoints.graphql.template import compile_template

SCHEMA = core_schema(build_schema())

DELTAS = [
    TokenDelta(offset=0, text="hello", attempt=1),
    TokenDelta(offset=2**31 - 1, text='"\\\u2028\n\x00%d%b \U0001f600', attempt=3),
]

PLAIN = [
    "{ __typename }",
    "{ ... on TokenDelta { offset text attempt } }",
    "{ kind: __typename ... on TokenDelta { t: text text o: offset } __typename }",
    "{ __typename ... on GenerationFinished { state message { content } } ... on TokenDelta { text } }",
    "{ ... on GenerationFinished { state } }",
    "{ ... on GenerationEvent { __typename ... { ... on TokenDelta { attempt } } } ... on TokenDelta { text } }",
    """{ ...a ...b ...a } fragment a on TokenDelta { offset ...c } fragment b on GenerationRestarted { attempt }
    fragment c on GenerationEvent { __typename ... on TokenDelta { text } }""",
    "{ ...d } fragment d on GenerationEvent { ... on TokenDelta { __typename text attempt } }",
]

NOT_PLAIN = [
    "{ __typename @include(if: true) }",
    "{ ... on TokenDelta @skip(if: true) { text } }",
    "{ ... on TokenDelta { text @skip(if: false) offset } }",
    "{ ...a @include(if: false) __typename } fragment a on TokenDelta { text }",
]


def operation(selection: str) -> str:
    body, _, fragments = selection.partition("} fragment")
    tail = f"}} fragment{fragments}" if fragments else ""
    rest = tail.removeprefix("}")
    return f'subscription {{ answer: generation(id: "x") {body}{"}" if fragments else ""} }}{rest}'


def by_graphql_core(text: str, delta: TokenDelta) -> bytes:
    document = parse(text)
    assert validate(SCHEMA, document) == []
    executor = Executor.build(SCHEMA, document)
    assert isinstance(executor, Executor)
    result = executor.build_per_event_executor(delta).execute_operation(False)
    return orjson.dumps({"data": result.data})  # type: ignore[union-attr] # no field of a delta is awaited


@pytest.mark.parametrize("selection", PLAIN)
@pytest.mark.parametrize("delta", DELTAS)
def test_plain_selections(selection: str, delta: TokenDelta) -> None:
    text = operation(selection)
    document = parse(text)
    chosen = get_operation_ast(document)
    assert chosen is not None
    template = compile_template(document, chosen)
    assert template is not None
    assert template.render(delta) == by_graphql_core(text, delta)


@pytest.mark.parametrize("selection", NOT_PLAIN)
def test_what_is_left_to_graphql_core(selection: str) -> None:
    document = parse(operation(selection))
    chosen = get_operation_ast(document)
    assert chosen is not None
    assert compile_template(document, chosen) is None


@pytest.mark.parametrize(
    "text",
    [
        'subscription { generation(id: "x") { __typename } generation(id: "x") { __typename } }',
        'subscription { ... { generation(id: "x") { __typename } } }',
        'subscription { generation(id: "x") @include(if: true) { __typename } }',
    ],
)
def test_root_selections_that_are_left_to_graphql_core(text: str) -> None:
    document = parse(text)
    chosen = get_operation_ast(document)
    assert chosen is not None
    assert compile_template(document, chosen) is None
