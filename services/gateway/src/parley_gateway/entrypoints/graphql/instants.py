"""Instants: the wire's timestamps, Python's datetimes and the schema's DateTime."""

from __future__ import annotations

from datetime import UTC, datetime

import strawberry
from google.protobuf.timestamp_pb2 import Timestamp


def format_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, such as 2026-01-02T03:04:05.678Z."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_datetime(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="An instant: ISO 8601, UTC, milliseconds.",
    serialize=format_instant,
    parse_value=datetime.fromisoformat,
)
