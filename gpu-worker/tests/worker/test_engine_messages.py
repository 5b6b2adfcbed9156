"""What passes between the client and the engine, whichever way the bytes are cut."""

from __future__ import annotations

import fcntl
import math
import resource
import socket

import msgspec
import pytest

from parley_worker.core import FinishReason
from parley_worker.engine.channel import Channel
from parley_worker.engine.messages import (
    Abort,
    Add,
    Command,
    Event,
    Failed,
    Inbound,
    Ran,
    Ready,
    Stop,
    encode,
)
from parley_worker.scheduler.request import Drawn, Fault, Output, Request, Sampling
from parley_worker.scheduler.stats import StepStats

SAMPLING = Sampling(0.5, 40, 0.9, 1.1, 2**63 - 1, min_p=0.05, presence_penalty=1.5, frequency_penalty=-2.0, logprobs=3)
COMMANDS: list[Command] = [
    Add(Request((1, 2, 150_000), 1, 2, frozenset({5, 9}), SAMPLING, user="sarah", deadline=12.25, id="7")),
    Add(Request((1,), 0, 2, frozenset(), SAMPLING, id="8")),
    Abort("7"),
    Stop(),
]
EVENTS: list[Event] = [
    Ready(16, 4096),
    Failed("config.json: is missing"),
    Ran([]),
    Ran(
        [
            Output("1", 17, cached_tokens=64),
            Output("1", 0, FinishReason.STOP, drawn=Drawn(0, -0.1, ((0, -0.1), (3, -math.inf)))),
            Output("2", None, error=Fault.NOT_FINITE),
        ],
        0.0125,
        StepStats(*range(13)),
    ),
]


def test_commands_and_events_arrive_as_they_were_sent() -> None:
    for kind, sent in ((Command, COMMANDS), (Event, EVENTS)):
        inbound: Inbound[object] = Inbound(kind)
        assert inbound.feed(b"".join(encode(message) for message in sent)) == sent


@pytest.mark.parametrize("size", [1, 3, 5, 100])
def test_messages_arrive_whole_whichever_way_they_are_cut(size: int) -> None:
    inbound: Inbound[Event] = Inbound(Event)
    data = b"".join(encode(event) for event in EVENTS)
    got = [event for start in range(0, len(data), size) for event in inbound.feed(data[start : start + size])]
    assert got == EVENTS


def test_what_the_other_end_never_says_is_an_error() -> None:
    inbound: Inbound[Command] = Inbound(Command)
    with pytest.raises(msgspec.DecodeError):
        inbound.feed(encode(Ready(1, 2)))


def test_the_channel_waits_for_a_whole_command_and_tells_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(theirs)
        assert list(channel.receive(wait=False)) == []
        add = encode(COMMANDS[0])
        ours.sendall(add[:9])
        assert list(channel.receive(wait=False)) == []
        ours.sendall(add[9:] + encode(Abort("1")) + encode(Stop()))
        assert list(channel.receive(wait=True)) == [COMMANDS[0], Abort("1"), Stop()]
        channel.send(Ready(3, 5))
        assert Inbound[Event](Event).feed(ours.recv(1000)) == [Ready(3, 5)]
        ours.close()
        with pytest.raises(EOFError):
            list(channel.receive(wait=True))


def test_the_channel_may_have_any_number_of_the_system() -> None:
    """A platform in one process has many open files when an engine is started again."""
    ours, few = socket.socketpair()
    with ours, few:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2048), limits[1]))
        try:
            many = socket.socket(fileno=fcntl.fcntl(few, fcntl.F_DUPFD_CLOEXEC, 1500))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        with many:
            channel = Channel(many)
            assert list(channel.receive(wait=False)) == []
            ours.sendall(encode(Stop()))
            assert list(channel.receive(wait=False)) == [Stop()]
