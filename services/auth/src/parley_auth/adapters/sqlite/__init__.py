"""The stores of the embedded mode: one SQLite file, on `parley_kit.sqlite`."""

from __future__ import annotations

from parley_auth.adapters.sqlite.families import SqliteRefreshFamilies
from parley_auth.adapters.sqlite.schema import open_store
from parley_auth.adapters.sqlite.users import SqliteUsers

__all__ = ["SqliteRefreshFamilies", "SqliteUsers", "open_store"]
