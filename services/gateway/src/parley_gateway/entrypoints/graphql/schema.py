"""The schema, built from the types."""

from __future__ import annotations

from datetime import datetime

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from parley_gateway.entrypoints.graphql.instants import DATE_TIME
from parley_gateway.entrypoints.graphql.messages import Message
from parley_gateway.entrypoints.graphql.mutations import Mutation
from parley_gateway.entrypoints.graphql.queries import Query
from parley_gateway.entrypoints.graphql.subscription import Subscription


def build_schema() -> strawberry.Schema:
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Message],
        config=StrawberryConfig(scalar_map={datetime: DATE_TIME}),
    )


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """The graphql-core schema beneath, which documents are validated against and run on."""
    return schema._schema


if __name__ == "__main__":
    print(build_schema().as_str())  # noqa: T201 - what the file schema.graphql holds
