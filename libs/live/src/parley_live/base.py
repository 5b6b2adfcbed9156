"""The hot-state ports: token streams, cancel signals, rate limits, revocations. Modelled on Redis.

Everything here has a time to live, and losing all of it loses no acknowledged message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from math import inf
from typing import Protocol

from parley_kit.errors import BadInput


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. offset: code points of the answer before `text`; began: the attempt that wrote offset 0."""

    attempt: int
    began: int
    offset: int
    text: str
    token_ids: tuple[int, ...] = ()


def check_deltas(deltas: Sequence[Delta]) -> None:
    """What every store asks of those that are appended together. Raises BadInput."""
    if len({delta.attempt for delta in deltas}) > 1:
        raise BadInput("deltas of several attempts", field="deltas")
    if not all(delta.text for delta in deltas):
        raise BadInput("a delta without text", field="deltas")


@dataclass(frozen=True, slots=True)
class End:
    """The terminal entry: the generation is finished and stored. Nothing follows it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream entry and the position after it, to read on from. Positions are opaque; None is before the first."""

    position: str
    value: Delta | End


class Fenced(Exception):
    """The stream belongs to a newer attempt, or has ended: whoever sees this must stop writing."""


class TokenStreams(Protocol):
    """One stream for each generation, written by one attempt at a time, read by anybody any number of times.

    Order is that of writing. A stream is never trimmed while it lives: its time to live is long until the terminal
    entry, then `retention` seconds. Methods raise Unavailable when the store is away.
    """

    async def raise_fence(self, generation_id: str, attempt: int) -> Sequence[Delta] | None:
        """Make `attempt` the only writer; from then on older ones are refused. Returns what was streamed so far.

        None: there is no stream (never begun, or lost), and one was created for `attempt`. Raises Fenced when a newer
        attempt holds the stream or it has ended. Idempotent for the same attempt, but that once created, it is empty
        rather than absent.
        """
        ...

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        """Add deltas of one attempt, all or none. Raises Fenced, also when the stream is gone since raise_fence.

        May be repeated after Unavailable: what this attempt has written, told by `began` and `offset`, is not written
        again. Raises BadInput when the deltas are of several attempts, or one has no text. Deltas follow each other:
        an adapter may refuse a gap as BadInput.
        """
        ...

    async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
        """`append` to several streams, by their ids, at once and far cheaper than one after the other.

        Each is as if it were alone. Returns, for those that failed, what `append` would have raised. It waits for all:
        who would not wait for the streams of a server that is away asks for those of one `place` at a time.
        """
        ...

    def place(self, generation_id: str) -> str:
        """Names what has the stream: streams of one place are written together, and away together."""
        ...

    async def end(self, generation_id: str) -> None:
        """Write the terminal entry and start the retention. Idempotent. Creates the stream if need be."""
        ...

    async def read(self, generation_id: str, position: str | None, timeout: float, most: int = 256) -> Sequence[Entry]:
        """Entries after `position`, waiting up to `timeout` seconds for the first, also for a stream that is yet to be.

        Empty when none came, or when the stream is gone. A position of a stream that is lost is before the first entry
        of its successor. Raises BadInput for what is no position.
        """
        ...


class CancelSignals(Protocol):
    """Fire-and-forget: a listener that is away misses the signal, so heartbeats carry cancels as well."""

    async def cancel(self, generation_id: str) -> None: ...

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Generation ids to cancel, from the moment of entering."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` at once, filled up evenly at `limit` in `seconds` (GCRA with burst = limit). Times are kept to the µs."""

    limit: int
    seconds: float

    def __post_init__(self) -> None:
        if self.limit < 1 or not 1e-6 <= self.seconds < inf:
            raise BadInput(f"not a rate: {self.limit} in {self.seconds} s", field="rate")


class RateLimits(Protocol):
    async def take(self, key: str, rate: Rate, cost: int = 1) -> float:
        """0.0 when admitted; else the seconds after which it would be, with nothing taken.

        The same key at another rate is another bucket. Raises BadInput for a cost that `rate` can never admit.
        """
        ...


class Revocations(Protocol):
    """Ids (of sessions) whose tokens are no longer good, kept for as long as such a token could live."""

    async def revoke(self, token_id: str, seconds: float) -> None:
        """Revoked for `seconds` from now on. Never shortens an earlier revocation."""
        ...

    async def is_revoked(self, token_id: str) -> bool: ...


class Live(TokenStreams, CancelSignals, RateLimits, Revocations, Protocol):
    """All the hot state, as one adapter serves it."""
