"""What can keep the native executor from being used."""

from __future__ import annotations


class NativeUnavailable(RuntimeError):
    """No library for this machine is there or can be built, or it does not compute such a model. One line."""
