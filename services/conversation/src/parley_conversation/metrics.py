"""What the service counts. Labels are bounded: never an id, never a text."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

MESSAGES_SENT = Counter(
    "parley_conversation_messages_sent_total", "Messages acknowledged, by kind: send or regenerate.", ["kind"]
)
REFUSALS = Counter("parley_conversation_refusals_total", "Sends refused for a limit, by code.", ["code"])
GENERATIONS_FINISHED = Counter(
    "parley_conversation_generations_finished_total", "Generations that ended, by terminal state.", ["state"]
)
GENERATION_SECONDS = Histogram(
    "parley_conversation_generation_seconds",
    "From the request to the end.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 600),
)
QUEUE_WAIT_SECONDS = Histogram(
    "parley_conversation_queue_wait_seconds",
    "From the request to the first claim.",
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
CLAIMS = Counter("parley_conversation_claims_total", "Claims by workers, by outcome.", ["outcome"])
REPAIRS = Counter("parley_conversation_repairs_total", "What the sweep had to do, by kind.", ["kind"])
REPAIR_FAILURES = Counter("parley_conversation_repair_failures_total", "Repairs that failed, by kind.", ["kind"])
EVENTS = Counter("parley_conversation_events_total", "Generation events taken from the bus, by outcome.", ["outcome"])
