"""What a worker counts. Base units; labels are few and bounded."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RUNNING = Gauge("parley_worker_running", "Generations with a lease", ["model"])
CAPACITY = Gauge("parley_worker_capacity", "Generations that it takes at once", ["model"])
TOKENS = Counter("parley_worker_tokens", "Tokens made", ["model"])
PROMPT_TOKENS = Counter("parley_worker_prompt_tokens", "Tokens of the prompts that were answered", ["model"])
CACHED_TOKENS = Counter("parley_worker_cached_tokens", "Those of them that were not computed again", ["model"])
QUEUE_WAIT = Histogram(
    "parley_worker_queue_wait_seconds",
    "From the request on the bus to the granted claim, by the clocks of both machines",
    ["model"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
FIRST_TOKEN = Histogram(
    "parley_worker_first_token_seconds",
    "From the granted claim to the first token",
    ["model"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
TOKEN_SECONDS = Histogram(
    "parley_worker_token_seconds",
    "Seconds for each token after the first, the mean of an answer",
    ["model"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
CLAIMS = Counter("parley_worker_claims", "Claims by what came of them", ["model", "outcome"])
ENDINGS = Counter("parley_worker_attempts", "Attempts by how they ended", ["model", "ending"])
FINISHES = Counter("parley_worker_finishes", "Completed answers by why the model stopped", ["model", "reason"])
TAKEOVERS = Counter(
    "parley_worker_takeovers",
    "Attempts after the first, resumed after the streamed text or restarted",
    ["model", "kind"],
)
FENCED = Counter("parley_worker_fenced", "Writes refused because the stream was somebody else's or gone", ["model"])

# The engine's own steps: only of workers that have one.
STEP_SECONDS = Histogram(
    "parley_worker_step_seconds",
    "One step of the engine, from its scheduling to its tokens",
    ["model"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5),
)
ROWS = Counter(
    "parley_worker_rows",
    "Tokens that steps computed: of prompts, of answers (decode), guessed (draft)",
    ["model", "kind"],
)
SEQUENCES = Gauge("parley_worker_sequences", "Requests in the engine, running or waiting", ["model", "state"])
KV_BLOCKS = Gauge(
    "parley_worker_kv_blocks",
    "Blocks of the KV cache: used by requests, kept for whoever has the same prefix (cached), free",
    ["model", "state"],
)
PREFIX_TOKENS = Counter("parley_worker_prefix_tokens", "Tokens that were found in the KV cache", ["model"])
PREEMPTIONS = Counter("parley_worker_preemptions", "Requests that had to give their KV blocks to others", ["model"])
DRAFTS_ACCEPTED = Counter("parley_worker_drafts_accepted", "Guessed tokens that were right", ["model"])
ENGINE_DEATHS = Counter("parley_worker_engine_deaths", "Times that the engine process ended by itself", ["model"])
