"""The committed SDL is the running schema, and it keeps every promise of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, print_schema
from graphql.utilities import find_breaking_changes, find_dangerous_changes

from parley_gateway.entrypoints.graphql.schema import build_schema as build_running_schema
from parley_gateway.entrypoints.graphql.schema import core_schema

HERE = Path(__file__).parent
COMMITTED = HERE.parent / "schema.graphql"


@pytest.fixture
def contract() -> GraphQLSchema:
    """Version 1 of the contract, as clients outside this repository were given it."""
    return build_schema((HERE / "contract.graphql").read_text(encoding="utf-8"))


def running() -> GraphQLSchema:
    return core_schema(build_running_schema())


def test_the_committed_sdl_is_the_running_schema() -> None:
    """Mend with `python -m parley_gateway.entrypoints.graphql.schema > services/gateway/schema.graphql`."""
    assert COMMITTED.read_text(encoding="utf-8") == build_running_schema().as_str() + "\n"


def test_the_contract_is_kept(contract: GraphQLSchema) -> None:
    assert [change.description for change in find_breaking_changes(contract, running())] == []
    assert [change.description for change in find_dangerous_changes(contract, running())] == []


def test_the_contract_is_kept_to_the_letter(contract: GraphQLSchema) -> None:
    """Nothing has been added so far: this goes when something is."""
    assert _sorted(print_schema(running())) == _sorted(print_schema(contract))


def test_a_broken_promise_is_noticed(contract: GraphQLSchema) -> None:
    broken = build_schema(COMMITTED.read_text(encoding="utf-8").replace("first: Int = 20", "first: Int! = 20"))
    assert find_breaking_changes(contract, broken)


def _sorted(sdl: str) -> list[str]:
    return sorted(sdl.split("\n\n"))
