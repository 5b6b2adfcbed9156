"""What is counted of the queries. Labels are bounded: a query's name is one of `queries`, an error's is its class."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

QUERY_SECONDS = Histogram(
    "parley_conversation_cassandra_query_seconds",
    "From the request to the last page of its answer, by query.",
    ["query"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
QUERY_FAILURES = Counter(
    "parley_conversation_cassandra_query_failures_total", "Queries that failed, by query and error.", ["query", "error"]
)
