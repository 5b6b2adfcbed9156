"""The dead letter of a record: what every adapter publishes when a consumer rejects it, and the way back."""

from __future__ import annotations

from dataclasses import replace

from parley_bus.base import DLQ_SUFFIX, Delivery, Record

MAX_REASON = 2_000
"""Characters: a letter must fit where its record did."""


def dead_letter(delivery: Delivery, reason: str, error: str) -> Record:
    """The record for `<topic>.dlq`: key, value and headers as they were, and where it came from and why it is here."""
    record = delivery.record
    origin = {
        "dlq_reason": reason[:MAX_REASON],
        "dlq_error": error,
        "dlq_topic": record.topic,
        "dlq_partition": str(delivery.partition),
        "dlq_offset": str(delivery.offset),
    }
    return replace(record, topic=record.topic + DLQ_SUFFIX, headers={**record.headers, **origin})


def stub_letter(delivery: Delivery, reason: str, error: str) -> Record:
    """For a record that no letter has room for: it says where the record is. Replayed, it comes back as a letter."""
    size = len(delivery.record.value)
    record = replace(delivery.record, key="", value=b"", headers={})
    reason = f"{reason[: MAX_REASON // 2]} (left out: {size} bytes, more than fit)"
    return dead_letter(replace(delivery, record=record), reason, error)


def revived(letter: Record) -> Record:
    """The record that became this dead letter. With the `ce_id` that it had, so that its effects come once."""
    headers = {name: value for name, value in letter.headers.items() if not name.startswith("dlq_")}
    return replace(letter, topic=letter.topic.removesuffix(DLQ_SUFFIX), headers=headers)
