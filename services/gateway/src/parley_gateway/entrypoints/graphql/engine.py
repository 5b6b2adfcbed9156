"""Runs operations against the schema, the same for every transport."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    get_operation_ast,
)

from parley_gateway import metrics
from parley_gateway.entrypoints.graphql.context import Operation
from parley_gateway.entrypoints.graphql.cost import MAX_OBJECTS, count_objects
from parley_gateway.entrypoints.graphql.documents import Documents
from parley_gateway.entrypoints.graphql.errors import (
    RequestRejected,
    SubscriptionRefused,
    format_execution_errors,
    format_parley_error,
    format_request_errors,
)
from parley_gateway.entrypoints.graphql.parameters import Parameters, holds_surrogate
from parley_gateway.entrypoints.graphql.subscription import TokenDelta
from parley_gateway.entrypoints.graphql.template import DeltaTemplate, compile_template
from parley_kit.context import budget, enter
from parley_kit.errors import BadInput, Internal, ParleyError
from parley_kit.logs import get_logger

log = get_logger(__name__)

OPERATION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid document and the operation chosen in it."""

    document: DocumentNode
    operation: OperationDefinitionNode
    parameters: Parameters

    @property
    def kind(self) -> OperationType:
        return self.operation.operation


class Engine:
    """Responses come as JSON bytes, ready for any transport."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema = schema
        self._hide_suggestions = not introspection
        self._documents = Documents(schema, introspection)

    def prepare(self, parameters: Parameters) -> Prepared:
        """Parse, validate and choose the operation. Raises RequestRejected."""
        document = self._documents.get(parameters.query)
        operation = get_operation_ast(document, parameters.operation_name)
        if operation is None:
            raise RequestRejected.because("`operationName` must name one of the document's operations")
        return Prepared(document, operation, parameters)

    async def execute(self, prepared: Prepared, context: Operation) -> bytes:
        """The response of a query or mutation. Raises RequestRejected for variables that do not fit."""
        executor = self._executor(prepared, context)
        timer = metrics.OPERATION_SECONDS.labels(prepared.kind.value).time()
        with timer, enter(context.caller.request_context()), budget(OPERATION_SECONDS):
            result = cast("Any", executor.execute_operation())
            if inspect.isawaitable(result):
                result = await result
        return encode(result, context.request_id)

    async def subscribe(self, prepared: Prepared, context: Operation) -> AsyncGenerator[bytes, None]:
        """The responses of a subscription, once it has begun. Raises SubscriptionRefused when it cannot begin.

        An error later on is the last response, with no data.
        """
        executor = self._executor(prepared, context)
        with enter(context.caller.request_context()), budget(OPERATION_SECONDS):
            source = cast("Any", create_source_event_stream(executor))
            if inspect.isawaitable(source):
                source = await source
        if isinstance(source, ExecutionResult):
            raise SubscriptionRefused(format_execution_errors(source.errors or (), context.request_id))
        template = compile_template(prepared.document, prepared.operation)
        return self._responses(executor, source, template, context)

    def _executor(self, prepared: Prepared, context: Operation) -> Executor[Any]:
        variables = prepared.parameters.variables
        if holds_surrogate(variables):
            raise RequestRejected.because("a variable holds a lone surrogate, which is no text")
        if count_objects(prepared.document, prepared.operation, variables or {}) > MAX_OBJECTS:
            raise RequestRejected.because(f"pages in pages of more than {MAX_OBJECTS} objects: ask for smaller ones")
        executor = Executor.build(
            self._schema,
            prepared.document,
            context_value=context,
            raw_variable_values=dict(variables or {}),
            operation_name=prepared.parameters.operation_name,
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            raise RequestRejected(format_request_errors(executor, BadInput.code))
        return executor

    async def _responses(
        self, executor: Executor[Any], source: AsyncIterable[Any], template: DeltaTemplate | None, context: Operation
    ) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(cast("AsyncGenerator[Any, None]", source)) as events:
                async for event in events:
                    if template is not None and isinstance(event, TokenDelta):
                        metrics.TOKEN_FRAMES.inc()
                        yield template.render(event)
                        continue
                    yield await self._response(executor, event, context)
        except ParleyError as error:
            yield orjson.dumps({"errors": [format_parley_error(error, context.request_id)]})
        except Exception as error:
            log.exception("subscription_failed", request_id=context.request_id)
            yield orjson.dumps({"errors": [format_parley_error(Internal(repr(error)), context.request_id)]})

    async def _response(self, executor: Executor[Any], event: object, context: Operation) -> bytes:
        with enter(context.caller.request_context()), budget(OPERATION_SECONDS):
            result = cast("Any", executor.build_per_event_executor(event).execute_operation(False))
            if inspect.isawaitable(result):
                result = await result
        return encode(result, context.request_id)


def encode(result: ExecutionResult, request_id: str) -> bytes:
    """The response as JSON; `errors` come first, as they do in graphql-http."""
    response: dict[str, Any] = {}
    if result.errors:
        response["errors"] = format_execution_errors(result.errors, request_id)
    response["data"] = result.data
    return orjson.dumps(response)


def encode_rejection(rejected: RequestRejected) -> bytes:
    return orjson.dumps({"errors": rejected.errors})
