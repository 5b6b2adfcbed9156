"""What can keep the native executor from being used."""

from __future__ import annotations


class NativeUnavailable(RuntimeError):
    """There is no library for this machine, and none can be built. The message is one line."""
