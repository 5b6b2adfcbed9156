"""Pages to try the API with, in development only: the explorer, which works offline, and GraphiQL."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import HTMLResponse
from strawberry.http.ides import get_graphql_ide_html

_EXPLORER_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GRAPHIQL_POLICY = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "vary": "accept",
}


def explorer_page() -> HTMLResponse:
    """One self-contained page: it needs nothing from elsewhere."""
    page = files("parley_gateway.entrypoints").joinpath("explorer.html").read_text(encoding="utf-8")
    return _page(page, _EXPLORER_POLICY)


def graphiql_page() -> HTMLResponse:
    """GraphiQL as strawberry ships it: the browser gets its scripts from a public host, by their checksums."""
    return _page(get_graphql_ide_html("graphiql"), _GRAPHIQL_POLICY)


def _page(page: str, policy: str) -> HTMLResponse:
    return HTMLResponse(page, headers={**_HEADERS, "content-security-policy": policy})
