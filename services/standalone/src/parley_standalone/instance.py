"""Which platform runs on a data folder: the note that it leaves there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

LOCK_FILE = "parley.lock"


@dataclass(frozen=True, slots=True)
class Instance:
    """Who holds a data folder. `url` is empty until it listens."""

    pid: int
    url: str = ""


def find_instance(data_dir: Path) -> Instance | None:
    """The instance that runs on `data_dir`, by its own note. Takes no lock, so it is never in anybody's way."""
    note = _read_note(data_dir)
    return note if note is not None and _is_alive(note.pid) else None


def _read_note(data_dir: Path) -> Instance | None:
    try:
        return Instance(**json.loads((data_dir / LOCK_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
