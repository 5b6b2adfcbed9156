"""Opening: bad settings stop the start, a server that is not there yet is waited for."""

from __future__ import annotations

import asyncio
import sys

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import Session as Driver
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import RetryPolicy
from cassandra.query import SimpleStatement

from parley_conversation.adapters.cassandra import connection, open_chat_log
from parley_conversation.adapters.cassandra.connection import Target
from parley_conversation.adapters.cassandra.heads import Heads
from parley_conversation.adapters.cassandra.retries import RepeatIdempotent
from parley_conversation.settings import ConversationSettings
from parley_kit.settings import ConfigError
from parley_local.ports import Ports


def test_hosts_are_parsed() -> None:
    target = Target.parse("one:9043, two ,[::1]:1,", "k", "d", 3)
    assert target == Target([("one", 9043), ("two", 9042), ("::1", 1)], "k", "d", 3)


@pytest.mark.parametrize("hosts", ["", " , ", "one:", "one:x", ":9042", "one:0", "one:70000"])
def test_bad_hosts_are_refused(hosts: str) -> None:
    with pytest.raises(ConfigError, match="PARLEY_CASSANDRA_HOSTS"):
        Target.parse(hosts, "k", "d", 1)


@pytest.mark.parametrize("keyspace", ["", "Parley", "1a", "a b", "a;b", "a" * 49, "é", "a\n"])
def test_bad_keyspaces_are_refused(keyspace: str) -> None:
    with pytest.raises(ConfigError, match="PARLEY_CASSANDRA_KEYSPACE"):
        Target.parse("one:1", keyspace, "d", 1)


async def test_a_datacenter_that_the_cluster_lacks_is_refused(settings: ConversationSettings) -> None:
    """By the names of those that it has, instead of waiting for ever."""
    wrong = settings.model_copy(update={"cassandra_datacenter": "elsewhere"})
    with pytest.raises(ConfigError, match="PARLEY_CASSANDRA_DATACENTER: the cluster has datacenter1"):
        async with open_chat_log(wrong):
            pass


def test_the_driver_runs_on_libev(driver: Driver) -> None:
    """Protocol 5, and each connection on the reactor that was asked for."""
    assert driver.cluster.protocol_version == 5
    for pool in driver.get_pools():
        assert all(isinstance(each, LibevConnection) for each in pool.get_connections())


def test_without_libev_it_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to fall back to asyncore."""
    monkeypatch.setitem(sys.modules, "cassandra.io.libevreactor", None)
    with pytest.raises(ConfigError, match="libev"):
        connection.reactor()


def test_only_reads_are_asked_of_a_second_replica(driver: Driver) -> None:
    """And everything of a local quorum, within the time that a caller is promised."""
    reads, writes = (driver.get_execution_profile(name) for name in (connection.READS, connection.WRITES))
    assert reads.speculative_execution_policy.new_plan("k", None).next_execution(None) > 0
    assert writes.speculative_execution_policy.new_plan("k", None).next_execution(None) < 0
    for profile in (reads, writes):
        assert profile.consistency_level == ConsistencyLevel.LOCAL_QUORUM
        assert profile.request_timeout < 2


@pytest.mark.parametrize("event", ["on_read_timeout", "on_write_timeout", "on_unavailable", "on_request_error"])
def test_only_what_is_idempotent_is_repeated_and_once(event: str) -> None:
    """On the next node, at the same consistency."""
    decide = getattr(RepeatIdempotent(), event)
    again, never = SimpleStatement("", is_idempotent=True), SimpleStatement("", is_idempotent=False)
    assert decide(again, consistency=1, retry_num=0) == (RetryPolicy.RETRY_NEXT_HOST, None)
    assert decide(again, consistency=1, retry_num=1) == (RetryPolicy.RETHROW, None)
    assert decide(never, consistency=1, retry_num=0) == (RetryPolicy.RETHROW, None)


async def test_a_stop_ends_the_wait_for_a_server(settings: ConversationSettings) -> None:
    """Within what one attempt takes."""
    nowhere = settings.model_copy(update={"cassandra_hosts": f"127.0.0.1:{Ports()('nobody')}"})
    entering = asyncio.create_task(open_chat_log(nowhere).__aenter__())
    await asyncio.wait([entering], timeout=0.5)
    assert not entering.done()
    entering.cancel()
    done, _ = await asyncio.wait([entering], timeout=3)
    assert done
    assert entering.cancelled()


def test_what_is_remembered_is_bounded() -> None:
    """The highest seq of the conversations used last."""
    heads = Heads(2)
    for conversation_id, seq in (("a", 1), ("b", 2), ("a", 0), ("c", 3)):
        heads.rise(conversation_id, seq)
    assert [heads.get(each) for each in "abc"] == [1, None, 3]
    heads.forget("a")
    heads.forget("a")
    assert heads.get("a") is None
