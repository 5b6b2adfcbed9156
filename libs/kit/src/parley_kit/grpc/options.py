"""Channel options that both sides of a call must agree on."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 4 * 1024 * 1024

COMMON_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
CLIENT_OPTIONS = (
    *COMMON_OPTIONS,
    # A peer that hangs (paused, or behind a dead link) still has its connection: only its silence tells. Both together
    # are less than the 2 s in which a caller is told. (It is the ping's timeout that counts in gRPC 1.85.)
    ("grpc.keepalive_time_ms", 800),
    ("grpc.keepalive_timeout_ms", 800),
    ("grpc.http2.ping_timeout_ms", 800),
    # One attempt to connect, and the pauses between attempts.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Else http_proxy in the environment would be asked for every service, those on loopback too.
    ("grpc.enable_http_proxy", 0),
)
SERVER_OPTIONS = (
    *COMMON_OPTIONS,
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
)

AUTHORIZATION = "authorization"
SERVICE_TOKEN = "x-parley-service-token"  # noqa: S105 - the name of a metadata key
