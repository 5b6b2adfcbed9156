"""Long deletions in short transactions, so that other writers get their turn between them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from parley_kit.sqlite import Database

TURN_SECONDS = 0.05
ROWS = 20
"""Deleted at a time: with the longest messages about a turn."""


async def delete_in_turns(database: Database, delete_some: Callable[[sqlite3.Connection], int]) -> None:
    """Call `delete_some` until it has nothing left to delete. It may be cut off by a crash between two turns."""

    def turn(db: sqlite3.Connection) -> bool:
        until = time.monotonic() + TURN_SECONDS
        while delete_some(db):
            if time.monotonic() >= until:
                return True
        return False

    while await database.write(turn):
        pass
