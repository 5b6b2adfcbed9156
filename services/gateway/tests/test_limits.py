"""Each limit of a document holds by itself: what is just within passes, one more does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from graphql import get_operation_ast, parse

from parley_gateway.entrypoints.graphql import limits
from parley_gateway.entrypoints.graphql.cost import count_objects
from parley_gateway.entrypoints.graphql.documents import Documents
from parley_gateway.entrypoints.graphql.errors import RequestRejected
from parley_gateway.entrypoints.graphql.schema import build_schema, core_schema


def deep(count: int) -> str:
    return "{ a" * count + " }" * count


def wide(count: int) -> str:
    return "{" + "a " * count + "}"


def aliased(count: int) -> str:
    return "{" + "".join(f"a{number}: a " for number in range(count)) + "}"


def directed(count: int) -> str:
    return "{ a" + " @skip(if: false)" * count + "}"


def fragmented(count: int) -> str:
    return "{ a }" + " fragment f on Query { a }" * count


@pytest.mark.parametrize(
    ("document", "limit", "words"),
    [
        (deep, limits.MAX_DEPTH, "nests fields too deeply"),
        (wide, limits.MAX_FIELDS, "too many fields"),
        (aliased, limits.MAX_ALIASES, "too many aliases"),
        (directed, limits.MAX_DIRECTIVES, "too many directives"),
        (fragmented, limits.MAX_FRAGMENTS, "too many fragments"),
    ],
)
def test_limits(document: Callable[[int], str], limit: int, words: str) -> None:
    assert limits.check_limits(parse(document(limit))) == []
    (error,) = limits.check_limits(parse(document(limit + 1)))
    assert words in error.message


def test_fragments_count_each_time_they_are_spread() -> None:
    doubling = "".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }} " for n in range(20))
    errors = limits.check_limits(parse("{ ...f0 } " + doubling + "fragment f20 on Query { x: a }"))
    assert len(errors) == 2  # fields and aliases


def test_fragments_in_circles_are_left_to_validation() -> None:
    text = "{ ...f } fragment f on Query { a ...g } fragment g on Query { b ...f }"
    assert limits.check_limits(parse(text)) == []


@pytest.mark.parametrize("text", ["{ a }" * limits.MAX_TOKENS, "#\n" * (limits.MAX_COMMENTS + 1) + "{ __typename }"])
def test_tokens_and_comments(text: str) -> None:
    documents = Documents(core_schema(build_schema()), introspection=True)
    with pytest.raises(RequestRejected) as rejected:
        documents.get(text)
    assert rejected.value.errors[0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


def test_documents_are_kept_and_refusals_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parley_gateway.entrypoints.graphql.documents.KEPT_DOCUMENTS", 2)
    documents = Documents(core_schema(build_schema()), introspection=True)
    first = documents.get("{ __typename }")
    assert documents.get("{ __typename }") is first
    for name in "ab":
        documents.get(f"{{ {name}: __typename }}")
    assert documents.get("{ __typename }") is not first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ a b }", 0),
        ("{ a { b { c } } }", 2),
        ("{ conversations { b } }", 20),
        ("{ conversations(first: 3) { b } }", 3),
        ("{ conversations(first: 1000) { b } }", 200),
        ("{ conversations(first: 3) { b { messages(last: 5) { c } } } }", 3 * (1 + 1 + 5)),
        ("query($n: Int) { conversations(first: $n) { b } }", 7),
        ("query($f: Int) { conversations(first: $f) { b } }", 150),
        ("query($m: Int) { conversations(first: $m) { b } }", 200),
        ("query { conversations(first: null) { b } }", 20),
        ("{ ...f ... { x { y } } } fragment f on Query { conversations(first: 2) { b } }", 3),
    ],
)
def test_objects_of_an_operation(text: str, expected: int) -> None:
    document = parse(text)
    operation = get_operation_ast(document)
    assert operation is not None
    assert count_objects(document, operation, {"n": 7, "f": 150.0}) == expected
