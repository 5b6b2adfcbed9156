"""What the gateway counts. Labels are bounded: kinds of operations, and error codes."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

OPERATION_SECONDS = Histogram(
    "parley_gateway_operation_seconds",
    "Time from a valid document to its response.",
    ["kind"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
ERRORS = Counter("parley_gateway_errors_total", "Errors told to clients, by their code.", ["code"])
PLACES_TAKEN = Gauge("parley_gateway_places_taken", "Open streams, and requests under way.", ["of"])
TOKEN_FRAMES = Counter("parley_gateway_token_frames_total", "Pieces of answers told to readers.")
