"""The event bus of the embedded mode: one process, one event loop, nothing on disk."""

from __future__ import annotations

from parley_bus.memory.bus import MemoryBus

__all__ = ["MemoryBus"]
