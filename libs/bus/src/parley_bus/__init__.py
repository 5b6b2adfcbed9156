"""The event bus: one port, an adapter for each mode."""

from __future__ import annotations

from parley_bus.base import DLQ_SUFFIX, Bus, Consumer, Delivery, Record
from parley_bus.capability import Capability
from parley_bus.dlq import dead_letter

__all__ = ["DLQ_SUFFIX", "Bus", "Capability", "Consumer", "Delivery", "Record", "dead_letter"]
