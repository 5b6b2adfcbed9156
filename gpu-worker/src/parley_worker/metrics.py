"""What a worker counts. Base units; labels are few and bounded."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RUNNING = Gauge("parley_worker_running", "Generations with a lease", ["model"])
TOKENS = Counter("parley_worker_tokens", "Tokens made", ["model"])
FIRST_TOKEN = Histogram(
    "parley_worker_first_token_seconds",
    "From the granted claim to the first token",
    ["model"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
CLAIMS = Counter("parley_worker_claims", "Claims by what came of them", ["model", "outcome"])
ENDINGS = Counter("parley_worker_attempts", "Attempts by how they ended", ["model", "ending"])
FENCED = Counter("parley_worker_fenced", "Writes refused because the stream was somebody else's or gone", ["model"])
