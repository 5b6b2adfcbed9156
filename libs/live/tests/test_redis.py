"""What Redis does beyond the contract."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from types import NoneType
from typing import ClassVar
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from parley_kit.errors import BadInput, Unavailable
from parley_live import Delta, End, Entry, Fenced, Rate
from parley_live.redis import RedisLive, RedisSettings, open_redis
from parley_live.redis.commands import away
from parley_live.testing.contract import LiveContract
from parley_live.testing.harness import Advance, deltas, values
from parley_live.testing.servers import PATIENCE, Open, RedisServer, until_waiting


class TestRedisLive(LiveContract):
    retention: ClassVar[float] = 2.5
    lifetime: ClassVar[float] = 2.5
    window: ClassVar[float] = 2.5

    @pytest.fixture
    async def live(self, redis_url: str) -> AsyncIterator[RedisLive]:
        settings = RedisSettings(
            redis_urls=(redis_url,), live_retention_seconds=self.retention, live_lifetime_seconds=self.lifetime
        )
        async with open_redis(settings, prefix=f"{uuid4().hex}:") as live:
            yield live

    @pytest.fixture
    def advance(self) -> Advance:
        return asyncio.sleep


async def connected(client: Redis) -> set[str]:
    return {each["id"] for each in await client.client_list() if each["name"] == "parley"}


async def test_everything_has_a_time_to_live(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("begun", 1)
        await live.raise_fence("written", 1)
        await live.append("written", deltas(["a"]))
        await live.end("ended")
        await live.take("key", Rate(5, 60))
        await live.revoke("token", 60)
        keys = await client.keys("*")
        assert {b"gen:{written}", b"gen:{written}:attempt", b"gen:{begun}:attempt", b"revoked:token"} <= set(keys)
        assert all([await client.pttl(key) > 0 for key in keys])


async def test_a_thousand_readers_need_three_connections(server: RedisServer, open_live: Open) -> None:
    """Of a thousand streams or of one; each gets its own, at once."""
    async with open_live(server.url) as live, live.listen(), server.client() as client:
        streams = [f"one-of-{number}" for number in range(500)]
        reads = [asyncio.create_task(live.read(stream, None, 30)) for stream in [*streams, *["same"] * 500]]
        watches = live._servers.all[0].watches._watches
        async with asyncio.timeout(PATIENCE):
            # Who waits on a joined watch has asked; before that, readers wait to be joined. They tell nobody.
            while sum(len(watch._waiting) for watch in watches.values() if watch._joined) < len(reads):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(await connected(client)) <= 3
        before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert before <= len(streams) + 10  # each stream is asked once, however many read it
        for stream in [*streams, "same"]:
            await live.end(stream)
        async with asyncio.timeout(PATIENCE):
            assert all(values(read) == [End()] for read in await asyncio.gather(*reads))
        asked = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
        assert asked == len(streams) + 1  # the ends; readers were pushed to and asked for nothing


async def test_what_is_asked_in_one_turn_travels_together(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live, server.client() as client:
        await asyncio.gather(*(live.raise_fence(str(number), 1) for number in range(65)))
        await live.append("64", deltas(["a"]))  # now the server knows the script
        before = (await client.info("stats"))["total_reads_processed"]
        await asyncio.gather(*(live.append(str(number), deltas(["a"])) for number in range(64)))
        assert (await client.info("stats"))["total_reads_processed"] - before <= 4  # `info` itself is one


async def test_streams_that_nobody_reads_any_more_are_left(
    server: RedisServer, open_live: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley_live.redis.watches.LINGER_SECONDS", 0.1)
    async with open_live(server.url) as live, server.client() as client:
        waiting = asyncio.create_task(live.read("waited-for", None, 30))
        for number in range(10):
            await live.read(str(number), None, 0.001)
        async with asyncio.timeout(PATIENCE):
            while await client.pubsub_channels() != [b"gen:{waited-for}"]:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)
        await live.end("waited-for")
        assert values(await waiting) == [End()]


async def test_a_push_that_is_not_ours_harms_nobody(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live, live.listen() as listener, server.client() as client:
        waiting = asyncio.create_task(live.read("g", None, 30))
        await until_waiting(live, "g")
        before = await connected(client)
        for nonsense in (b"", b"\xff\xfe", b"1-1", b"1-1\n{", b"1-1\n[1]", b"1-1\n7"):
            await client.publish("gen:{g}", nonsense)
            await client.publish("gen:cancels", nonsense)
        await live.cancel("c")
        await live.end("g")
        async with asyncio.timeout(PATIENCE):
            assert values(await waiting) == [End()]
            assert await anext(listener) == "c"
        assert await connected(client) == before


async def test_each_of_two_servers_has_its_share(
    server: RedisServer, other_server: RedisServer, open_live: Open
) -> None:
    """With one away its share is away, and nothing else: not the other's streams, not the cancels."""
    names = [f"name-{number}" for number in range(60)]
    async with open_live(server.url, other_server.url) as live, live.listen() as listener:
        for name in names:
            await live.end(name)
            await live.revoke(name, 60)
        await live.cancel("both")
        await live.cancel("once")
        assert [await anext(listener), await anext(listener)] == ["both", "once"]
        async with server.client() as client:
            here = {name for name in names if await client.exists(f"gen:{{{name}}}")}
        assert 10 < len(here) < 50
        await server.kill()
        for name in names:
            if name in here:
                with pytest.raises(Unavailable):
                    await live.is_revoked(name)
                with pytest.raises(Unavailable):
                    await live.read(name, None, 5)
            else:
                assert await live.is_revoked(name)
                assert values(await live.read(name, None, 5)) == [End()]
        await live.check()
        await live.cancel("one")
        async with live.listen() as late:
            await live.cancel("late")
            assert await anext(late) == "late"
        assert [await anext(listener), await anext(listener)] == ["one", "late"]
        await other_server.kill()
        with pytest.raises(Unavailable, match="Redis"):
            await live.check()


async def test_of_streams_on_two_servers_those_of_one_place_are_away_together(
    server: RedisServer, other_server: RedisServer, open_live: Open
) -> None:
    names = [f"name-{number}" for number in range(20)]
    async with open_live(server.url, other_server.url) as live:
        for name in names:
            await live.raise_fence(name, 1)
        async with server.client() as client:
            here = {name for name in names if await client.exists(f"gen:{{{name}}}:attempt")}
        assert 0 < len(here) < len(names)
        assert len({live.place(name) for name in here}) == 1
        assert len({live.place(name) for name in names}) == 2
        await server.kill()
        failed = await live.append_all({name: deltas(["a"]) for name in names})
        assert failed.keys() == here
        assert {type(error) for error in failed.values()} == {Unavailable}
        for name in set(names) - here:
            assert values(await live.read(name, None, 5)) == deltas(["a"])


async def test_the_place_of_a_key_does_not_depend_on_the_order_of_urls() -> None:
    from parley_live.redis.servers import Servers

    urls = [f"redis://host-{number}:6379/0" for number in range(4)]
    one, other = Servers(urls), Servers([*reversed(urls), "redis://:secret@new:6379/0"])
    places = [(one.of(str(key)).name, other.of(str(key)).name) for key in range(1000)]
    moved = [now for before, now in places if now != before]
    assert 100 < len(moved) < 300
    assert set(moved) == {"new:6379/0"}


WRITER = """
import asyncio, sys
from parley_live import Delta, Fenced
from parley_live.redis import RedisSettings, open_redis

async def main(url, attempt):
    async with open_redis(RedisSettings(redis_urls=url)) as live:
        print("ready", flush=True)
        sys.stdin.readline()
        streamed = await live.raise_fence("g", attempt) or ()
        print("fenced", flush=True)
        for offset in range(sum(len(delta.text) for delta in streamed), 10**6):
            try:
                await live.append("g", [Delta(attempt, 1, offset, str(attempt))])
            except Fenced:
                return

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def start_writer(url: str, attempt: int) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    pipe = asyncio.subprocess.PIPE
    arguments = (sys.executable, "-c", WRITER, url, str(attempt))
    writer = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe)
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"ready\n"
    return writer, writer.stdout


async def test_processes_that_take_over_from_each_other(server: RedisServer, open_live: Open) -> None:
    """Each writes as fast as it can; whoever was fenced has not written one delta after it."""
    writers = await asyncio.gather(*(start_writer(server.url, attempt) for attempt in (1, 2)))
    entries: list[Entry] = []

    async def read_on(live: RedisLive) -> None:
        entries.extend(await live.read("g", entries[-1].position if entries else None, PATIENCE))

    async with open_live(server.url) as live:
        for attempt, (writer, said) in enumerate(writers, 1):
            assert writer.stdin is not None
            writer.stdin.write(b"go\n")
            assert await said.readline() == b"fenced\n"
            while not any(isinstance(value, Delta) and value.attempt == attempt for value in values(entries)):
                await read_on(live)
        await live.end("g")
        assert [await writer.wait() for writer, _ in writers] == [0, 0]
        while not isinstance(entries[-1].value, End):
            await read_on(live)
    written = [value for value in values(entries) if isinstance(value, Delta)]
    assert [delta.offset for delta in written] == list(range(len(written)))
    attempts = [delta.attempt for delta in written]
    assert attempts == sorted(attempts)
    assert set(attempts) == {1, 2}


async def test_what_is_in_redis_can_be_read_by_people(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("g", 3)
        await live.append("g", [Delta(3, 3, 0, "hé", (7, 8))])
        ((_, fields),) = await client.xrange("gen:{g}")
        assert json.loads(fields[b"d"]) == [3, 3, 0, "hé", [7, 8]]
        assert await client.hget("gen:{g}:attempt", "attempt") == b"3"


async def test_the_password_is_not_in_what_is_said(open_live: Open) -> None:
    async with open_live("redis://user:secret@127.0.0.1:1/0") as live:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/0") as caught:
            await live.check()
        assert "secret" not in caught.value.message


def test_silence_has_a_name() -> None:
    """A timeout has no text of its own."""
    assert away("host:1/0", TimeoutError()).message == "Redis at host:1/0 is away: TimeoutError"
    assert away("host:1/0", OSError("refused")).message == "Redis at host:1/0 is away: refused"


async def test_what_cannot_be_sent_is_refused_alone(server: RedisServer, open_live: Open) -> None:
    """Half a surrogate pair in a key is BadInput for who sent it, and nothing to those who ask in the same turn."""
    bad = "\ud800"
    async with open_live(server.url) as live:
        calls = (
            live.end("good"),
            live.take(bad, Rate(1, 1)),
            live.read(bad, None, 0),
            live.end(bad),
            live.is_revoked(bad),
            live.cancel(bad),
            live.check(),
        )
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [NoneType, *[BadInput] * 5, NoneType]


async def test_an_ended_stream_fences(server: RedisServer, open_live: Open) -> None:
    """Also when its entries were evicted meanwhile."""
    async with open_live(server.url) as live, server.client() as client:
        await live.raise_fence("g", 1)
        await live.end("g")
        await client.delete("gen:{g}")
        with pytest.raises(Fenced):
            await live.raise_fence("g", 2)


async def test_a_key_of_another_kind_is_no_crash(server: RedisServer, open_live: Open) -> None:
    async with open_live(server.url) as live, server.client() as client:
        await client.set("gen:{g}:attempt", "not a hash")
        with pytest.raises(Unavailable, match="WRONGTYPE"):
            await live.raise_fence("g", 1)


async def test_what_is_wrong_with_one_stream_is_nothing_to_those_written_with_it(
    server: RedisServer, open_live: Open
) -> None:
    bad, cut = "\ud800", "cut"
    async with open_live(server.url) as live, server.client() as client:
        for name in ("one", "other", cut):
            await live.raise_fence(name, 1)
        await client.set("gen:{another}:attempt", "not a hash")
        await live.append("one", deltas(["ab"]))
        appends = {bad: deltas(["a"]), "another": deltas(["a"]), "one": deltas(["c"], offset=2)}
        failed = await live.append_all({**appends, cut: deltas(["a"], offset=1), "other": deltas(["ab", "c"])})
        assert {name: type(error) for name, error in failed.items()} == {
            bad: BadInput,
            "another": Unavailable,
            cut: BadInput,
        }
        assert "WRONGTYPE" in str(failed["another"])
        for name, written in {"one": deltas(["ab", "c"]), "other": deltas(["ab", "c"])}.items():
            assert values(await live.read(name, None, 5)) == written
