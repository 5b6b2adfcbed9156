"""gRPC as Parley speaks it: deadlines, traces, tokens and typed errors at every hop."""

from __future__ import annotations

from parley_kit.grpc.client import open_channel
from parley_kit.grpc.guard import Access, Guard
from parley_kit.grpc.server import open_server

__all__ = ["Access", "Guard", "open_channel", "open_server"]
