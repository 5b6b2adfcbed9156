"""The explorer: a page to try the API with, in development only."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import HTMLResponse

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
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
    return HTMLResponse(page, headers=_HEADERS)
