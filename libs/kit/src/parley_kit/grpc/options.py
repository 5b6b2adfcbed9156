"""Channel options that both sides of a call must agree on."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 4 * 1024 * 1024

COMMON_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
CLIENT_OPTIONS = (*COMMON_OPTIONS, ("grpc.max_reconnect_backoff_ms", 1_000), ("grpc.initial_reconnect_backoff_ms", 100))
SERVER_OPTIONS = (
    *COMMON_OPTIONS,
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
)

AUTHORIZATION = "authorization"
SERVICE_TOKEN = "x-parley-service-token"  # noqa: S105 - the name of a metadata key
