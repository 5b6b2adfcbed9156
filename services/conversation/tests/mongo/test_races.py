"""Many writers at once, and writes whose answer is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from parley_conversation.adapters.mongo import Documents
from parley_conversation.domain.generation import EndStream, State
from parley_conversation.testing.harness import after, conversation, generation, outcome
from parley_kit.ids import new_id


async def test_of_fifty_claims_at_once_one_wins(documents: Documents) -> None:
    made = await documents.generations.insert(generation())
    claims = (documents.generations.claim(made.id, f"worker-{n}", after(1), after(7)) for n in range(50))
    won = [claim for claim in await asyncio.gather(*claims) if claim]
    assert [claim.attempt for claim in won] == [1]
    assert await documents.generations.get(made.id) == won[0]


async def test_of_fifty_equal_requests_at_once_one_is_kept(documents: Documents) -> None:
    request = generation()
    inserts = (documents.generations.insert(replace(request, id=new_id())) for _ in range(50))
    assert len({each.id for each in await asyncio.gather(*inserts)}) == 1
    assert len(await documents.generations.unsettled(request.conversation_id)) == 1


async def test_debts_are_settled_beside_other_changes(documents: Documents) -> None:
    """A change that read the outbox before a debt was paid does not bring the debt back."""
    debts = [EndStream(new_id()) for _ in range(20)]
    made = await documents.generations.insert(generation(None, *debts))
    await asyncio.gather(
        *(documents.generations.settle(made.id, [debt.id]) for debt in debts),
        *(documents.generations.request_again(made.id, after(n)) for n in range(20)),
        documents.generations.request_cancel(made.id, after(5)),
    )
    stored = await documents.generations.get(made.id)
    assert stored is not None
    assert not {debt.id for debt in stored.outbox} & {debt.id for debt in debts}
    assert stored.cancel_requested_at == after(5)


async def test_a_renewal_between_the_look_and_the_write_of_a_claim_keeps_the_lease(
    documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim saw a lease that had run out; by the time it writes, the lease holds again."""
    made = await documents.generations.insert(generation())
    await documents.generations.claim(made.id, "worker-1", after(1), after(7))
    rival = documents.generations

    async def renew() -> None:
        assert await rival.renew("worker-1", {made.id: 1}, after(14))

    with monkeypatch.context() as patched:
        patched.setattr(rival, "_generations", Interrupted(rival._generations, renew))
        assert await rival.claim(made.id, "worker-2", after(8), after(20)) is None
    stored = await documents.generations.get(made.id)
    assert stored is not None
    assert (stored.worker_id, stored.attempt, stored.lease_until) == ("worker-1", 1, after(14))


async def test_a_deletion_that_was_cut_off_is_completed(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noted, but the conversation still there: whoever looks for what to purge makes it absent first."""
    conversations, made = documents.conversations, conversation(title="zebra")
    await conversations.insert(made)
    with monkeypatch.context() as patched:
        patched.setattr(conversations, "_conversations", CutOff(conversations._conversations, "delete_one"))
        with pytest.raises(ConnectionResetError):
            await conversations.delete(made.id)
    assert await conversations.purgeable(10) == [made.id]
    assert await conversations.get(made.id) is None
    assert await conversations.reserve(made.id, 2, after(1)) is None


@pytest.fixture
def repeated(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> Documents:
    """Each update takes effect, its answer is lost, and the driver sends it again to a server that forgot the first."""
    port = documents.generations
    monkeypatch.setattr(port, "_generations", Repeated(port._generations))
    return documents


async def test_a_claim_whose_answer_was_lost_is_the_claimers(repeated: Documents) -> None:
    made = await repeated.generations.insert(generation())
    claimed = await repeated.generations.claim(made.id, "worker", after(1), after(7))
    assert claimed is not None
    assert (claimed.attempt, claimed.state) == (1, State.RUNNING)
    assert await repeated.generations.get(made.id) == claimed


async def test_an_end_whose_answer_was_lost_is_known_as_told(repeated: Documents) -> None:
    end = EndStream(new_id())
    made = await repeated.generations.insert(generation())
    await repeated.generations.claim(made.id, "worker", after(1), after(7))
    assert await repeated.generations.fence(made.id, 1) is not None
    finished = await repeated.generations.finish(made.id, 2, outcome(State.COMPLETED, end))
    assert finished is not None
    assert finished.outbox == (end,)


async def test_what_is_handed_back_twice_counts_once(repeated: Documents) -> None:
    made = await repeated.generations.insert(generation())
    await repeated.generations.claim(made.id, "worker", after(1), after(7))
    assert await repeated.generations.requeue(made.id, 1, after(2), handed_back=True)
    stored = await repeated.generations.get(made.id)
    assert stored is not None
    assert stored.handed_back == 1
    assert len(stored.outbox) == 1


async def test_an_insert_that_is_sent_again_is_the_same_insert(documents: Documents) -> None:
    """With and without a request id; and a conversation's."""
    for made in (generation(), generation(request_id=None)):
        assert await documents.generations.insert(made) == made
        assert await documents.generations.insert(made) == made
    chat = conversation()
    await documents.conversations.insert(chat)
    await documents.conversations.insert(chat)
    assert await documents.conversations.get(chat.id) == chat


class Wrapped:
    """A collection with some of its methods in other words."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


class Repeated(Wrapped):
    async def update_one(self, *arguments: Any) -> Any:
        await self._collection.update_one(*arguments)
        return await self._collection.update_one(*arguments)


class Interrupted(Wrapped):
    """Something else happens before each update of one document."""

    def __init__(self, collection: Any, work: Callable[[], Awaitable[None]]) -> None:
        super().__init__(collection)
        self._work = work

    async def update_one(self, *arguments: Any) -> Any:
        await self._work()
        return await self._collection.update_one(*arguments)


class CutOff(Wrapped):
    """The process ends before this method is called."""

    def __init__(self, collection: Any, method: str) -> None:
        super().__init__(collection)
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return _cut_off if name == self._method else super().__getattr__(name)


async def _cut_off(*_arguments: Any) -> Callable[..., Any]:
    raise ConnectionResetError
