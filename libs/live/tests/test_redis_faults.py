"""Redis killed, stopped, behind a dead network, emptied: every method says so within 2 s and works again by itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest

from parley_kit.errors import BadInput, Unavailable
from parley_live import Delta, End, Fenced, Rate
from parley_live.redis import RedisLive, metrics
from parley_live.redis.commands import LANES
from parley_live.testing.harness import deltas, values
from parley_live.testing.servers import PATIENCE, Open, Proxy, RedisServer, until_waiting

METHODS: dict[str, Callable[[RedisLive], Awaitable[object]]] = {
    "raise_fence": lambda live: live.raise_fence("m", 2),
    "append": lambda live: live.append("m", deltas(["x"])),
    "end": lambda live: live.end("m"),
    "read": lambda live: live.read("m", None, 30),
    "cancel": lambda live: live.cancel("m"),
    "listen": lambda live: live.listen().__aenter__(),
    "take": lambda live: live.take("k", Rate(5, 60)),
    "revoke": lambda live: live.revoke("t", 60),
    "is_revoked": lambda live: live.is_revoked("t"),
    "check": lambda live: live.check(),
}


async def assert_away(live: RedisLive) -> None:
    """Every method is Unavailable, all at once and each within 2 s."""

    async def seconds(call: Callable[[RedisLive], Awaitable[object]]) -> float:
        started = monotonic()
        with pytest.raises(Unavailable, match="Redis"):
            await call(live)
        return monotonic() - started

    taken = await asyncio.gather(*map(seconds, METHODS.values()))
    assert max(taken) < 2.0, dict(zip(METHODS, taken, strict=True))


async def until_back(live: RedisLive) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await live.check()
                await live.read("nobody", None, 0)
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def read_until_end(live: RedisLive, generation: str) -> list[Delta | End]:
    """As the gateway does: goes on from its position whatever happens."""
    entries: list[Delta | End] = []
    position: str | None = None
    while not entries or not isinstance(entries[-1], End):
        try:
            read = await live.read(generation, position, 30)
        except Unavailable:
            await asyncio.sleep(0.05)
            continue
        if read:
            position = read[-1].position
            entries += values(read)
    return entries


async def test_killed_and_started_again(server: RedisServer, open_live: Open) -> None:
    """What was there is lost, scripts included; all works again without a hand, listeners and readers too."""
    async with open_live(server.url) as live, live.listen() as listener:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["x"]))
        reading = asyncio.create_task(read_until_end(live, "g"))
        await server.kill()
        await assert_away(live)
        await server.start()
        await until_back(live)
        with pytest.raises(Fenced):
            await live.append("g", deltas(["y"], offset=1))
        assert await live.raise_fence("g", 1) is None
        await live.append("g", deltas(["z"]))
        await live.end("g")
        async with asyncio.timeout(PATIENCE):
            assert (await reading)[-2:] == [*deltas(["z"]), End()]
            await heard_again(live, anext(listener))


async def heard_again(live: RedisLive, heard: Awaitable[str]) -> None:
    """A cancel may be missed while the listener's connection is away, not for long after."""
    hearing = asyncio.ensure_future(heard)
    while not hearing.done():
        await live.cancel("c")
        await asyncio.wait([hearing], timeout=0.1)
    assert hearing.result() == "c"


async def test_stopped_and_continued(server: RedisServer, open_live: Open) -> None:
    """A server that is stopped keeps its connections open and answers nothing; its data is there afterwards."""
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["x"]))
        position = (await live.read("g", None, 1))[-1].position
        waiting = asyncio.create_task(live.read("g", position, 30))
        await until_waiting(live, "g")
        server.signal(signal.SIGSTOP)
        stopped = monotonic()
        with pytest.raises(Unavailable, match="Redis"):
            await waiting
        assert monotonic() - stopped < 2.0
        await assert_away(live)
        server.signal(signal.SIGCONT)
        await until_back(live)
        await live.append("g", deltas(["y"], offset=1))
        assert values(await live.read("g", position, 1)) == deltas(["y"], offset=1)


async def test_never_there(open_live: Open) -> None:
    """Opening needs no server."""
    async with open_live("redis://127.0.0.1:1/0") as live:
        await assert_away(live)


async def test_readers_do_not_share_an_exception(open_live: Open) -> None:
    """Each raising would lengthen its traceback, which keeps the frames of all readers that retry."""
    async with open_live("redis://127.0.0.1:1/0") as live:
        with pytest.raises(Unavailable):
            await live.read("g", None, 0)
        told = await asyncio.gather(*(live.read("g", None, 0) for _ in range(2)), return_exceptions=True)
    assert isinstance(told[0], Unavailable)
    assert told[0] is not told[1]


async def test_an_outage_that_is_over_is_not_told(
    server: RedisServer, open_live: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes after the last reader gave up finds Redis as it is now."""
    monkeypatch.setattr("parley_live.redis.watches.LINGER_SECONDS", 0.05)
    async with open_live(server.url) as live:
        await server.kill()
        with pytest.raises(Unavailable):
            await live.read("g", None, 5)
        feed = live._servers.of("g").watches._feed
        async with asyncio.timeout(PATIENCE):
            while feed._error is not None:  # noqa: ASYNC110 - until nothing is tried any more, which nobody is told
                await asyncio.sleep(0.01)
        await server.start()
        assert await live.read("g", None, 0) == []


async def test_a_network_that_swallows_everything(proxy: Proxy, open_live: Open) -> None:
    """Connections that are accepted and then dead, new ones and old ones."""
    async with open_live(proxy.url) as live:
        await live.check()
        proxy.hold()
        await assert_away(live)
        await assert_away(live)
        proxy.release()
        await until_back(live)


async def test_a_cut_connection_is_not_seen_by_readers(proxy: Proxy, open_live: Open) -> None:
    """The server is there: whoever waits goes on waiting on a new connection, and misses nothing."""
    async with open_live(proxy.url) as live:
        for generation in map(str, range(20)):
            waiting = asyncio.create_task(live.read(generation, None, 30))
            await until_waiting(live, generation)
            proxy.cut()
            await retried(lambda generation=generation: live.end(generation))
            async with asyncio.timeout(PATIENCE):
                assert values(await waiting) == [End()]


async def test_what_is_written_while_a_reader_is_cut_off(server: RedisServer, proxy: Proxy, open_live: Open) -> None:
    """What was not pushed to it is read as soon as it is connected again, not at its timeout."""
    async with open_live(proxy.url) as live, open_live(server.url) as writer:
        await writer.raise_fence("g", 1)
        await live.read("g", None, 0.01)  # from now on it is followed
        await writer.append("g", deltas(["a"]))
        position = (await live.read("g", None, 30))[-1].position
        waiting = asyncio.create_task(live.read("g", position, 60))
        await until_waiting(live, "g")
        proxy.hold()
        await writer.append("g", deltas(["b"], offset=1))
        proxy.cut()
        proxy.release()
        async with asyncio.timeout(PATIENCE):
            assert values(await waiting) == deltas(["b"], offset=1)


async def test_answers_through_cuts(server: RedisServer, proxy: Proxy, open_live: Open) -> None:
    """Writers and readers whose connections are cut over and over: every reader gets every delta once, in order."""
    names, count = [str(number) for number in range(30)], 40
    written = deltas(["ab"] * count)
    progress = 0

    async def write(live: RedisLive, name: str) -> None:
        nonlocal progress
        await retried(lambda: live.raise_fence(name, 1))
        for delta in written:
            await retried(lambda delta=delta: live.append(name, [delta]))
            progress += 1
        await retried(lambda: live.end(name))

    async def cut() -> None:
        """As often as something gets through in between: on a slow machine, too, the writers come to an end."""
        held = 0
        while True:
            await asyncio.sleep(0.03)
            if progress != held:
                held = progress
                proxy.cut()

    async with open_live(proxy.url) as writer, open_live(proxy.url) as reader, open_live(server.url) as calm:
        cutting = asyncio.create_task(cut())
        reading = [asyncio.create_task(read_until_end(live, name)) for name in names for live in (reader, calm, calm)]
        await asyncio.gather(*(write(writer, name) for name in names))
        async with asyncio.timeout(PATIENCE):
            assert all(entries == [*written, End()] for entries in await asyncio.gather(*reading))
        cutting.cancel()


async def retried(call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await call()
            except Unavailable:
                await asyncio.sleep(0.005)
                continue
            return


async def test_emptied_while_an_answer_is_streamed(server: RedisServer, open_live: Open) -> None:
    """The writer is fenced; the readers get the stream that its successor begins, from its first entry."""
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["ab", "c"]))
        reading = asyncio.create_task(read_until_end(live, "g"))
        await until_waiting(live, "g")  # it has read what there is
        await client.flushall()
        with pytest.raises(Fenced):
            await live.append("g", deltas(["d"], offset=3))
        assert await live.raise_fence("g", 2) is None
        again = deltas(["abc", "d"], attempt=2, began=2)
        await live.append("g", again)
        await live.end("g")
        async with asyncio.timeout(PATIENCE):
            assert await reading == [*deltas(["ab", "c"]), *again, End()]


async def test_a_successor_is_read_also_when_the_clock_went_back(server: RedisServer, open_live: Open) -> None:
    """A position of a stream that is lost is before its successor's first entry, whatever their ids."""
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["a"]))
        assert values(await live.read("g", f"{2**62}-7", 1)) == deltas(["a"])
        await asyncio.sleep(0.6)  # no longer from the tail
        assert values(await live.read("g", f"{2**62}-7", 1)) == deltas(["a"])


@pytest.mark.parametrize("lost", ["trimmed", "evicted", "state evicted"])
async def test_a_stream_that_is_damaged_is_a_lost_one(server: RedisServer, open_live: Open, lost: str) -> None:
    """Entries that went behind our back fence the writer, and the next attempt begins again."""
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["a", "b", "c"]))
        if lost == "trimmed":
            await client.xtrim("gen:{g}", maxlen=2, approximate=False)
        else:
            await client.delete("gen:{g}" if lost == "evicted" else "gen:{g}:attempt")
        with pytest.raises(Fenced):
            await live.append("g", deltas(["d"], offset=3))
        assert await live.raise_fence("g", 2) is None
        await live.append("g", deltas(["z"], attempt=2, began=2))
        assert values(await live.read("g", None, 1)) == deltas(["z"], attempt=2, began=2)


async def test_a_write_whose_answer_was_lost_is_written_once(proxy: Proxy, open_live: Open) -> None:
    """It arrived, its reply did not: repeated, neither the fence nor the text nor the end changes."""
    async with open_live(proxy.url) as live:

        async def in_doubt(call: Callable[[], Awaitable[object]]) -> None:
            proxy.deaf = True
            with pytest.raises(Unavailable):
                await call()
            proxy.deaf = False
            proxy.cut()
            await retried(call)

        await in_doubt(lambda: live.raise_fence("g", 1))
        assert await live.raise_fence("g", 1) == []
        await in_doubt(lambda: live.append("g", deltas(["ab", "c"])))
        await in_doubt(lambda: live.append("g", deltas(["c", "d"], offset=2)))
        await in_doubt(lambda: live.end("g"))
        async with asyncio.timeout(PATIENCE):
            assert await read_until_end(live, "g") == [*deltas(["ab", "c", "d"]), End()]


async def test_a_gap_is_refused(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live:
        await live.raise_fence("g", 1)
        await live.append("g", deltas(["ab"]))
        for wrong in (deltas(["d"], offset=4), deltas(["bcd"], offset=1), deltas(["x"], began=2, offset=3)):
            with pytest.raises(BadInput):
                await live.append("g", [*deltas(["c"], offset=2), *wrong])
        assert await live.raise_fence("g", 2) == deltas(["ab"])
        with pytest.raises(BadInput):
            await live.append("g", deltas(["ab"], attempt=2))


async def test_scripts_that_the_server_forgot_are_sent_again(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("g", 1)
        await client.script_flush()
        await live.append("g", deltas(["a"]))
        assert values(await live.read("g", None, 1)) == deltas(["a"])


@pytest.mark.parametrize("setting", [("maxmemory", "1mb"), ("min-replicas-to-write", "1")])
async def test_a_server_that_takes_no_writes(server: RedisServer, open_live: Open, setting: tuple[str, str]) -> None:
    """Out of memory, or without its replicas: Unavailable, and nothing of the write is there."""
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("g", 1)
        before = (await client.config_get(setting[0]))[setting[0]]
        await client.config_set(*setting)
        told = metrics.UNAVAILABLE.labels("append")._value.get()
        with pytest.raises(Unavailable, match="Redis"):
            await live.append("g", deltas(["a"]))
        assert metrics.UNAVAILABLE.labels("append")._value.get() == told + 1
        await client.config_set(setting[0], before)
        await live.append("g", deltas(["a"]))
        assert values(await live.read("g", None, 1)) == deltas(["a"])


@pytest.mark.parametrize("method", ["raise_fence", "append"])
async def test_a_master_that_became_a_replica_is_left(
    server: RedisServer, other_server: RedisServer, proxy: Proxy, open_live: Open, method: str
) -> None:
    """After a failover its name is that of another server, while the old one keeps its connections."""
    async with open_live(proxy.url) as live, server.client() as client:
        for _ in range(LANES):
            await live.raise_fence("m", 1)
        proxy.port = other_server.port
        await client.replicaof("127.0.0.1", str(other_server.port))
        for _ in range(LANES):
            with pytest.raises(Unavailable, match="read only"):
                await METHODS[method](live)
        for _ in range(LANES):
            await live.raise_fence("m", 2)


async def test_who_asks_while_all_is_closed_is_told_so(proxy: Proxy, open_live: Open) -> None:
    """With an error of the port: a reader that nobody cancelled is not to end as cancelled."""
    async with open_live(proxy.url) as live:
        await live.read("g", None, 0)
        proxy.hold()
        reading = asyncio.create_task(live.read("g", None, 30))
        await asyncio.sleep(0)
        assert live._servers.of("g").watches._watches[b"gen:{g}"].asked
    with pytest.raises(Unavailable):
        await reading
