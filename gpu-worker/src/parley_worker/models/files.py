"""Reading the JSON files of a checkpoint folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_worker.models.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class JsonFile:
    """The object in a JSON file, read key by key: a value of the wrong kind is an error that names file and key."""

    path: Path
    values: dict[str, Any]

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def integer(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of at least `least`."""
        value = self._or(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(key, f"must be a whole number of at least {least}, not {value!r}")
        return value

    def optional_integer(self, key: str, absent: int | None) -> int | None:
        """As `integer`, but null is a value of its own: None. `absent` is for a file that does not have the key."""
        if self.values.get(key, absent) is None:
            return None
        return self.integer(key, absent)

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number over 0."""
        value = self._or(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.error(key, f"must be a number over 0, not {value!r}")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._or(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r}")
        return value

    def section(self, key: str) -> JsonFile:
        """An object below a key; without the key, an empty one."""
        value = self._or(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"must be an object, not {value!r}")
        return JsonFile(self.path, value)

    def token_ids(self, key: str) -> frozenset[int]:
        """One token id, or a list of them, or none."""
        value = self._or(key, [])
        ids = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in ids):
            raise self.error(key, f"must be token ids, not {value!r}")
        return frozenset(ids)

    def error(self, key: str, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {key} {problem}")

    def _or(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None else value


def read_text(path: Path) -> str:
    """The text of a file that must be there."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {_reason(error)}") from error


def read_json(path: Path) -> JsonFile:
    """A file that must hold a JSON object."""
    try:
        values = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: must hold a JSON object")
    return JsonFile(path, values)


def read_optional_json(path: Path) -> JsonFile:
    """As `read_json`; no file is an empty object."""
    return read_json(path) if path.exists() else JsonFile(path, {})


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
