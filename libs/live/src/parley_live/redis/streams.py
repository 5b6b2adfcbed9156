"""Token streams."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from parley_kit.errors import BadInput, Unavailable
from parley_live.base import Delta, Entry, Fenced, check_deltas
from parley_live.redis import codec, metrics, scripts
from parley_live.redis.codec import Position
from parley_live.redis.commands import Argument, away
from parley_live.redis.servers import Server, Servers
from parley_live.redis.watches import Watch

FENCED, GAP = -1, -2
STATE = ":attempt"


class RedisTokenStreams:
    """Everything of a generation is on one server. Deltas that leave a gap are BadInput.

    A stream that was trimmed or evicted behind our back is a lost one: its writer is fenced, the next begins again.
    """

    def __init__(self, servers: Servers, prefix: str, retention: float, lifetime: float) -> None:
        self._servers = servers
        self._prefix = prefix
        self._retention = round(retention * 1000)
        self._lifetime = round(lifetime * 1000)

    async def raise_fence(self, generation_id: str, attempt: int) -> Sequence[Delta] | None:
        commands = self._servers.of(generation_id).commands
        reply = await commands.evaluate(scripts.FENCE, *self._keys(generation_id), attempt, self._lifetime)
        if reply == 0:
            metrics.FENCED.labels("fence").inc()
            raise Fenced
        if reply is None:
            return None
        return [entry.value for entry in codec.entries(reply) if isinstance(entry.value, Delta)]

    async def append(self, generation_id: str, deltas: Sequence[Delta]) -> None:
        failed = await self.append_all({generation_id: deltas})
        if failed:
            raise failed[generation_id]

    async def append_all(self, appends: Mapping[str, Sequence[Delta]]) -> Mapping[str, Exception]:
        failed: dict[str, Exception] = {}
        batches: defaultdict[Server, Batch] = defaultdict(Batch)
        for generation_id, deltas in appends.items():
            if not deltas:
                continue
            try:
                check_deltas(deltas)
                stream = self._stream(generation_id)
            except BadInput as error:
                failed[generation_id] = error
            else:
                batches[self._servers.of(generation_id)].add(generation_id, stream, deltas)
        writing = [self._write(server, batch) for server, batch in batches.items()]
        if len(writing) == 1:
            return failed | await writing[0]
        for outcome in await asyncio.gather(*writing):
            failed |= outcome
        return failed

    def place(self, generation_id: str) -> str:
        return self._servers.of(generation_id).name

    async def _write(self, server: Server, batch: Batch) -> dict[str, Exception]:
        """Those that failed, and why."""
        try:
            arguments = (*batch.keys, self._lifetime, *batch.arguments)
            outcomes = await server.commands.evaluate(scripts.APPEND, *arguments, times=len(batch.counts))
        except Unavailable as error:
            return dict.fromkeys(batch.counts, error)
        metrics.APPENDED.inc(sum(new for new in outcomes if isinstance(new, int) and new > 0))
        judged = {
            generation_id: _judge(server, count, new)
            for (generation_id, count), new in zip(batch.counts.items(), outcomes, strict=True)
        }
        return {generation_id: error for generation_id, error in judged.items() if error is not None}

    async def end(self, generation_id: str) -> None:
        commands = self._servers.of(generation_id).commands
        new: int = await commands.evaluate(scripts.END, *self._keys(generation_id), self._retention, codec.END)
        metrics.APPENDED.inc(new)

    async def read(self, generation_id: str, position: str | None, timeout: float, most: int = 256) -> Sequence[Entry]:
        start = Position.parse(position)
        if most < 1:
            raise BadInput("most must be at least 1", field="most")
        give_up = asyncio.get_running_loop().time() + timeout
        server = self._servers.of(generation_id)
        with server.watches.watching(self._stream(generation_id)) as watch:
            while True:
                await watch.until_joined()
                version, pushed = watch.version, watch.tail.after(start, most)
                entries = await self._ask(server, watch, generation_id, start, most) if pushed is None else pushed
                if entries:
                    return entries
                if watch.version == version and not await watch.changed(give_up):
                    break
            # A push may be late: that there is nothing is only for the stream itself to say.
            return await self._ask(server, watch, generation_id, start, most) if pushed is not None else entries

    async def _ask(
        self, server: Server, watch: Watch, generation_id: str, start: Position, most: int
    ) -> Sequence[Entry]:
        """Ask once for all readers who are at the same place: after a push, or a reconnect, they all come at once."""
        question = (watch.version, start, most)
        task = watch.asked.get(question)
        if task is None:
            task = watch.asked[question] = asyncio.create_task(self._fetch(server, generation_id, start, most))
            task.add_done_callback(lambda done: watch.answered(question, done))
        await asyncio.wait([task])  # for its end, but as nobody's cancellation: closing cancels it
        if task.cancelled():
            raise Unavailable("the hot state is closed")
        return task.result()

    async def _fetch(self, server: Server, generation_id: str, start: Position, most: int) -> Sequence[Entry]:
        keys = self._keys(generation_id)
        return codec.entries(await server.commands.evaluate(scripts.READ, *keys, start.born, start.index, most))

    def _stream(self, generation_id: str) -> bytes:
        try:
            return self._keys(generation_id)[0].encode()
        except UnicodeEncodeError:
            raise BadInput("not the id of a generation", field="generation_id") from None

    def _keys(self, generation_id: str) -> tuple[str, str]:
        """The braces put both into one slot."""
        stream = f"{self._prefix}gen:{{{generation_id}}}"
        return stream, f"{stream}{STATE}"


class Batch:
    """Appends to streams of one server, as the script takes them."""

    def __init__(self) -> None:
        self.keys: list[Argument] = []
        self.arguments: list[Argument] = []
        self.counts: dict[str, int] = {}

    def add(self, generation_id: str, stream: bytes, deltas: Sequence[Delta]) -> None:
        self.counts[generation_id] = len(deltas)
        self.keys += (stream, stream + STATE.encode())
        self.arguments += (deltas[0].attempt, len(deltas))
        for delta in deltas:
            self.arguments += (delta.began, delta.offset, len(delta.text), codec.encode(delta))


def _judge(server: Server, deltas: int, new: int | Exception) -> Exception | None:
    """new: what the script says of a stream. What is wrong with it, if anything is."""
    if isinstance(new, Exception):
        return away(server.name, new)
    if new == FENCED:
        metrics.FENCED.labels("append").inc()
        return Fenced()
    if new == GAP:
        return BadInput("deltas do not follow what was streamed", field="deltas")
    if new < deltas:
        metrics.REPEATED.inc(deltas - new)
    return None
