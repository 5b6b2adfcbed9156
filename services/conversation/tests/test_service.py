"""The whole service over real gRPC: tokens, the life of a message, typed errors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from parley_bus.events import GENERATION_EVENTS, to_record
from parley_bus.memory import MemoryBus
from parley_conversation.bootstrap import open_conversation
from parley_conversation.settings import ConversationSettings
from parley_kit.clock import SystemClock
from parley_kit.context import RequestContext, enter
from parley_kit.errors import BadInput, NotFound, Unauthenticated
from parley_kit.grpc import Access, Guard, open_channel, open_server
from parley_kit.health import Readiness
from parley_kit.ids import new_id
from parley_live import End
from parley_live.memory import MemoryLive
from parley_proto.auth.v1 import auth_pb2, auth_pb2_grpc
from parley_proto.conversation.v1 import conversation_pb2 as wire
from parley_proto.conversation.v1 import conversation_pb2_grpc, types_pb2, worker_pb2, worker_pb2_grpc
from parley_proto.events.v1 import events_pb2 as events

MODEL = "tiny"
SECRET = "between services"


class KeyServer(auth_pb2_grpc.AuthServiceServicer):
    """The one call of auth that other services make."""

    def __init__(self, key: ECKey) -> None:
        self._key = key

    async def GetJwks(self, request: Any, context: Any) -> auth_pb2.GetJwksResponse:  # noqa: N802
        return auth_pb2.GetJwksResponse(jwks_json=json.dumps({"keys": [self._key.as_dict(private=False)]}))


class Platform:
    """A running conversation service, its worker's side of the bus, and users who can sign their own tokens."""

    def __init__(self, key: ECKey, address: str, bus: MemoryBus, live: MemoryLive, readiness: Readiness) -> None:
        self.key = key
        self.address = address
        self.bus = bus
        self.live = live
        self.readiness = readiness
        self.user = new_id()
        self.stub: Any = None
        self.worker: Any = None

    def token(self, user_id: str) -> str:
        now = int(time.time())
        claims = {
            "iss": "parley-auth",
            "aud": "parley",
            "sub": user_id,
            "sid": new_id(),
            "jti": new_id(),
            "iat": now,
            "exp": now + 600,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": str(self.key.kid)}
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])

    async def call(self, method: str, request: Any, user: str | None = None) -> Any:
        with enter(RequestContext(access_token=self.token(user or self.user))):
            return await getattr(self.stub, method)(request)

    async def conversation(self) -> str:
        created = await self.call("Create", wire.CreateRequest(model=MODEL))
        return str(created.conversation.id)

    async def send(self, conversation_id: str, content: str = "Hello") -> Any:
        return await self.call("SendMessage", wire.SendMessageRequest(conversation_id=conversation_id, content=content))

    async def complete(self, generation: Any, attempt: int, text: str) -> None:
        event = events.GenerationCompleted(
            generation_id=generation.id,
            conversation_id=generation.conversation_id,
            attempt=attempt,
            began_attempt=attempt,
            text=text,
            usage=types_pb2.Usage(prompt_tokens=3, completion_tokens=2),
            finish_reason=types_pb2.FINISH_REASON_STOP,
        )
        record = to_record(GENERATION_EVENTS, generation.conversation_id, event, "worker", SystemClock())
        await self.bus.publish(record)

    async def ended(self, generation_id: str) -> None:
        """Wait for the terminal entry of the stream."""
        position = None
        async with asyncio.timeout(10):
            while True:
                for entry in await self.live.read(generation_id, position, 5):
                    position = entry.position
                    if isinstance(entry.value, End):
                        return


@asynccontextmanager
async def opened(folder: Path, **overrides: Any) -> AsyncIterator[Platform]:
    key = ECKey.generate_key("P-256", parameters={"kid": "one", "use": "sig", "alg": "ES256"})
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(MemoryBus())
        live = MemoryLive(clock)
        guard = Guard({"/parley_proto.auth.v1.AuthService": Access.PUBLIC}, _refuse, SECRET)
        auth = await stack.enter_async_context(
            open_server([lambda it: auth_pb2_grpc.add_AuthServiceServicer_to_server(KeyServer(key), it)], guard)
        )
        settings = ConversationSettings(
            auth_address=f"127.0.0.1:{auth.port}",
            service_token=SECRET,  # type: ignore[arg-type]
            data_dir=folder,
            models={MODEL: 100},
            **overrides,
        )
        readiness = Readiness()
        running = await stack.enter_async_context(open_conversation(settings, bus, live, clock, readiness))
        platform = Platform(key, running.address, bus, live, readiness)
        users = await stack.enter_async_context(open_channel(running.address))
        workers = await stack.enter_async_context(open_channel(running.address, SECRET))
        platform.stub = conversation_pb2_grpc.ConversationServiceStub(users)
        platform.worker = worker_pb2_grpc.WorkerServiceStub(workers)
        yield platform


async def _refuse(_token: str) -> Any:
    raise Unauthenticated("no users here")


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(tmp_path) as running:
        yield running


async def test_a_message_is_answered_and_both_are_read_back(platform: Platform) -> None:
    conversation_id = await platform.conversation()
    sent = await platform.send(conversation_id, "What is a café? ☕")
    assert sent.generation.state == types_pb2.GENERATION_STATE_QUEUED
    claim = await platform.worker.Claim(worker_pb2.ClaimRequest(generation_id=sent.generation.id, worker_id="w"))
    assert (claim.outcome, claim.attempt) == (worker_pb2.ClaimResponse.OUTCOME_GRANTED, 1)
    await platform.complete(sent.generation, 1, "A place.")
    await platform.ended(sent.generation.id)
    got = await platform.call("GetGeneration", wire.GetGenerationRequest(id=sent.generation.id))
    assert got.generation.state == types_pb2.GENERATION_STATE_COMPLETED
    assert got.generation.finish_reason == types_pb2.FINISH_REASON_STOP
    page = await platform.call("ListMessages", wire.ListMessagesRequest(conversation_id=conversation_id, last=50))
    question, answer = (edge.message for edge in page.edges)
    assert (question.content, answer.content) == ("What is a café? ☕", "A place.")
    assert (answer.id, answer.parent_id, answer.generation_id) == (
        got.generation.message_id,
        question.id,
        sent.generation.id,
    )
    read = await platform.call("GetMessages", wire.GetMessagesRequest(ids=[answer.id, question.id, new_id()]))
    assert {message.id for message in read.messages} == {answer.id, question.id}


@pytest.mark.parametrize(("shutting_down", "granted"), [(True, 5), (False, 3)])
async def test_what_a_worker_gives_back_counts_unless_it_shuts_down(
    platform: Platform, shutting_down: bool, granted: int
) -> None:
    generation_id = (await platform.send(await platform.conversation())).generation.id
    outcomes = []
    for attempt in range(1, 6):
        claim = await platform.worker.Claim(worker_pb2.ClaimRequest(generation_id=generation_id, worker_id="w"))
        outcomes.append(claim.outcome)
        lease = worker_pb2.HeldLease(generation_id=generation_id, attempt=attempt)
        await platform.worker.Release(
            worker_pb2.ReleaseRequest(worker_id="w", leases=[lease], shutting_down=shutting_down)
        )
    assert outcomes.count(worker_pb2.ClaimResponse.OUTCOME_GRANTED) == granted


async def test_without_a_token_nobody_is_served(platform: Platform) -> None:
    with pytest.raises(Unauthenticated):
        await platform.stub.Get(wire.GetRequest(id=new_id()))


async def test_worker_calls_need_the_service_token(platform: Platform) -> None:
    async with open_channel(platform.address, "guessed") as channel:
        stub: Any = worker_pb2_grpc.WorkerServiceStub(channel)
        with pytest.raises(Unauthenticated):
            await stub.Claim(worker_pb2.ClaimRequest(generation_id=new_id(), worker_id="w"))


async def test_models_are_listed_to_anybody(platform: Platform) -> None:
    await platform.worker.Heartbeat(worker_pb2.HeartbeatRequest(worker_id="w", model="big", context_length=4096))
    listed = await platform.stub.ListModels(wire.ListModelsRequest())
    assert [(it.name, it.context_length, it.available) for it in listed.models] == [
        ("big", 4096, True),
        ("tiny", 100, False),
    ]


OTHERS = {
    "Get": lambda ids: wire.GetRequest(id=ids["conversation"]),
    "Update": lambda ids: wire.UpdateRequest(id=ids["conversation"], title="mine now"),
    "Delete": lambda ids: wire.DeleteRequest(id=ids["conversation"]),
    "ListMessages": lambda ids: wire.ListMessagesRequest(conversation_id=ids["conversation"], last=1),
    "SendMessage": lambda ids: wire.SendMessageRequest(conversation_id=ids["conversation"], content="x"),
    "Regenerate": lambda ids: wire.RegenerateRequest(message_id=ids["message"]),
    "StopGeneration": lambda ids: wire.StopGenerationRequest(id=ids["generation"]),
    "GetGeneration": lambda ids: wire.GetGenerationRequest(id=ids["generation"]),
}


@pytest.mark.parametrize("method", OTHERS)
async def test_what_is_somebody_elses_looks_absent(platform: Platform, method: str) -> None:
    """R9: the error is the very same as for an id that does not exist."""
    conversation_id = await platform.conversation()
    sent = await platform.send(conversation_id)
    theirs = {"conversation": conversation_id, "message": sent.user_message.id, "generation": sent.generation.id}
    absent = {name: new_id() for name in theirs}
    messages = []
    for ids in (theirs, absent):
        with pytest.raises(NotFound) as refused:
            await platform.call(method, OTHERS[method](ids), user=new_id())
        messages.append(refused.value.message)
    assert messages[0] == messages[1]


async def test_lists_of_ids_leave_out_what_is_somebody_elses(platform: Platform) -> None:
    sent = await platform.send(await platform.conversation())
    stranger = new_id()
    got = await platform.call("GetMessages", wire.GetMessagesRequest(ids=[sent.user_message.id]), user=stranger)
    assert not got.messages
    got = await platform.call("GetGenerations", wire.GetGenerationsRequest(ids=[sent.generation.id]), user=stranger)
    assert not got.generations
    listed = await platform.call("List", wire.ListRequest(first=10), user=stranger)
    assert not listed.edges


async def test_a_parent_or_leaf_of_somebody_else_is_absent(platform: Platform) -> None:
    sent = await platform.send(await platform.conversation())
    stranger = new_id()
    mine = (await platform.call("Create", wire.CreateRequest(model=MODEL), user=stranger)).conversation.id
    send = wire.SendMessageRequest(conversation_id=mine, content="x", parent_id=sent.user_message.id)
    with pytest.raises(NotFound):
        await platform.call("SendMessage", send, user=stranger)
    page = wire.ListMessagesRequest(conversation_id=mine, last=5, leaf=sent.user_message.id)
    with pytest.raises(NotFound):
        await platform.call("ListMessages", page, user=stranger)


@pytest.mark.parametrize("method", ["Get", "Update", "Delete", "StopGeneration", "GetGeneration"])
async def test_a_malformed_id_is_bad_input(platform: Platform, method: str) -> None:
    request = getattr(wire, f"{method}Request")(id="not-an-id")
    with pytest.raises(BadInput) as refused:
        await platform.call(method, request)
    assert refused.value.field == "id"


async def test_ready_while_the_store_answers(platform: Platform) -> None:
    ready, parts = await platform.readiness.report()
    assert ready, parts


async def test_an_undecodable_event_goes_to_the_dead_letters_and_the_next_is_applied(platform: Platform) -> None:
    sent = await platform.send(await platform.conversation())
    await platform.worker.Claim(worker_pb2.ClaimRequest(generation_id=sent.generation.id, worker_id="w"))
    broken = to_record(GENERATION_EVENTS, "k", events.GenerationCompleted(), "worker", SystemClock())
    await platform.bus.publish(type(broken)(broken.topic, sent.generation.conversation_id, b"\xff", broken.headers))
    await platform.complete(sent.generation, 1, "Fine.")
    await platform.ended(sent.generation.id)
    async with platform.bus.subscribe([GENERATION_EVENTS + ".dlq"], "test") as letters:
        [letter] = await letters.fetch(10, 5)
    assert letter.record.value == b"\xff"
    assert "undecodable" in letter.record.headers["dlq_reason"]


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as before:
        conversation_id = await before.conversation()
        sent = await before.send(conversation_id, "Remember me")
    async with opened(tmp_path, unclaimed_seconds=0.1, sweep_seconds=0.05) as after:
        after.user = before.user
        page = await after.call("ListMessages", wire.ListMessagesRequest(conversation_id=conversation_id, last=5))
        assert [edge.message.content for edge in page.edges] == ["Remember me"]
        async with after.bus.subscribe([f"parley.inference.requests.{MODEL}.v1"], "worker") as requests:
            [request, *_] = await requests.fetch(1, 10)
        asked = events.InferenceRequested.FromString(request.record.value)
        assert asked.generation_id == sent.generation.id
