"""The hot state of the embedded mode: one process, one event loop, nothing on disk."""

from __future__ import annotations

from parley_live.memory.live import MemoryLive

__all__ = ["MemoryLive"]
