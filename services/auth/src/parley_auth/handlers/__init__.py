"""The use cases."""

from __future__ import annotations

from parley_auth.handlers.accounts import Accounts
from parley_auth.handlers.sessions import Sessions
from parley_auth.handlers.upkeep import Upkeep

__all__ = ["Accounts", "Sessions", "Upkeep"]
