"""The refresh tokens of this user, in the configuration folder, readable by nobody else."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parley_kit.errors import Forbidden, Unavailable

LOCK_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Saved:
    """What is kept for one server."""

    email: str
    refresh_token: str


def default_path() -> Path:
    """By the XDG base directory rules: $XDG_CONFIG_HOME/parley/sessions.json."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "parley" / "sessions.json"


class CredentialFile:
    """One session for each server address. Written whole and atomically, with mode 0600.

    What writes raises Forbidden where the system does not let this user write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, url: str) -> Saved | None:
        entry = self._load().get(url)
        return Saved(**entry) if isinstance(entry, dict) and entry.keys() == {"email", "refresh_token"} else None

    def write(self, url: str, saved: Saved) -> None:
        self._store({**self._load(), url: asdict(saved)})

    def forget(self, url: str) -> None:
        self._store({known: entry for known, entry in self._load().items() if known != url})

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Keep other processes of this user from using the file meanwhile. Raises Unavailable after 20 s."""
        with self._writing():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    async def _lock(self, descriptor: int) -> None:
        try:
            async with asyncio.timeout(LOCK_TIMEOUT):
                while not _try_lock(descriptor):  # noqa: ASYNC110 - another process holds it: there is no event
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Unavailable(f"another process has been using {self._path} for {LOCK_TIMEOUT:.0f} s") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Forbidden(f"cannot keep the session in {self._path}: {error.strerror}") from None

    def _load(self) -> dict[str, Any]:
        """A file that is damaged counts as none: signing in again writes it anew."""
        try:
            entries = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def _store(self, entries: dict[str, Any]) -> None:
        with self._writing():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self._path.with_suffix(f".{os.getpid()}.tmp")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(entries, file)
            draft.replace(self._path)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
