"""GraphQL over HTTP: queries and mutations at /graphql."""

from __future__ import annotations

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from parley_gateway.entrypoints.bodies import read_parameters
from parley_gateway.entrypoints.explorer import explorer_page, graphiql_page
from parley_gateway.entrypoints.graphql.engine import Prepared, encode_rejection
from parley_gateway.entrypoints.graphql.errors import RequestRejected, format_parley_error
from parley_gateway.entrypoints.media import GRAPHQL_RESPONSE, HTML, JSON, preferred
from parley_gateway.gateway import Gateway
from parley_kit import telemetry
from parley_kit.errors import Overloaded

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
"""All of them, so that the refusal of a wrong one has the form of every other error."""

_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "vary": "accept, origin"}


class HttpEndpoint:
    """One response per request, as application/json or application/graphql-response+json.

    With the latter, the status tells a request that was refused (4xx) from one that ran (200). With the former, which
    older clients ask for, a well-formed request that the document or its variables spoil is answered 200 all the same.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def handle(self, request: Request) -> Response:
        accept = request.headers.get("accept")
        if self._gateway.development and request.method == "GET" and _wants_page(request):
            return graphiql_page() if request.query_params.get("ide") == "graphiql" else explorer_page()
        media_type = preferred(accept, (JSON, GRAPHQL_RESPONSE))
        if media_type is None:
            return refusal(RequestRejected.because(f"only {JSON} and {GRAPHQL_RESPONSE} are served", status=406), JSON)
        try:
            with self._gateway.requests.take(), telemetry.span("graphql", request.headers):
                return await self._respond(request, media_type)
        except RequestRejected as rejected:
            return refusal(rejected, media_type)
        except Overloaded as error:
            return refusal(RequestRejected([format_parley_error(error, "")], 503), media_type)

    async def _respond(self, request: Request, media_type: str) -> Response:
        refuse_method(request)
        parameters = await read_parameters(request)
        try:
            prepared = self._gateway.engine.prepare(parameters)
            _check_operation(request, prepared)
            caller = self._gateway.caller(request, request.headers.get("authorization"))
            operation = self._gateway.operation(caller)
            body = await self._gateway.engine.execute(prepared, operation)
        except RequestRejected as rejected:
            if rejected.status == 400 and media_type == JSON:
                rejected.status = 200
            raise
        return response(body, media_type, headers={"x-request-id": operation.request_id})


def response(body: bytes, media_type: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content_type = {"content-type": f"{media_type}; charset=utf-8"}
    return Response(body, status, headers={**_HEADERS, **content_type, **(headers or {})})


def refusal(rejected: RequestRejected, media_type: str) -> Response:
    """The errors of a request of which nothing ran."""
    headers = {"allow": "GET, POST"} if rejected.status == 405 else {}
    retry_after = rejected.errors[0]["extensions"].get("retryAfter")
    if retry_after is not None:
        headers["retry-after"] = str(max(1, round(retry_after)))
    return response(encode_rejection(rejected), media_type, rejected.status, headers)


def refuse_method(request: Request) -> None:
    """Raises RequestRejected for what is neither GET nor POST."""
    if request.method not in ("GET", "POST"):
        raise RequestRejected.because("only GET and POST are served here", status=405)


def _wants_page(request: Request) -> bool:
    """A browser that came for the page. A query in the URL is never answered by it."""
    accept = request.headers.get("accept")
    if not accept or "query" in request.query_params:
        return False
    return preferred(accept, (JSON, GRAPHQL_RESPONSE, HTML)) == HTML


def _check_operation(request: Request, prepared: Prepared) -> None:
    if prepared.kind is OperationType.SUBSCRIPTION:
        raise RequestRejected.because("subscriptions are served over WebSocket here, and at /graphql/stream")
    if request.method == "GET" and prepared.kind is not OperationType.QUERY:
        raise RequestRejected.because("a mutation needs POST", status=405)
