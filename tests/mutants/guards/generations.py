"""Guards of the conversation service: the generation's document, the sweep, the outbox, who may see what."""

from __future__ import annotations

from mutants.mutant import Mutant

CONVERSATION = "services/conversation/src/parley_conversation"
CONVERSATION_TESTS = "services/conversation/tests"

MUTANTS = (
    Mutant(
        "R4",
        "a forced end fences the stream before it reads it",
        f"{CONVERSATION}/endings.py",
        "deltas = await self._streams.raise_fence(generation.id, generation.attempt)",
        "deltas = [it.value for it in await self._streams.read(generation.id, None, 0) if isinstance(it.value, Delta)]",
        (f"{CONVERSATION_TESTS}/test_generations.py::test_a_forced_end_fences_the_stream",),
    ),
    Mutant(
        "R4",
        "only the holder of the newest attempt renews",
        f"{CONVERSATION}/domain/transitions.py",
        "and it.worker_id == worker_id and it.attempt == attempt",
        "and it.worker_id == worker_id",
        (f"{CONVERSATION_TESTS}/test_sqlite.py",),
    ),
    Mutant(
        "R2",
        "a claim respects a live lease",
        f"{CONVERSATION}/domain/transitions.py",
        "(it.state is State.RUNNING and _lease_is_out(it, now))",
        "it.state is State.RUNNING",
        (f"{CONVERSATION_TESTS}/test_sqlite.py", f"{CONVERSATION_TESTS}/test_life_cycle.py"),
    ),
    Mutant(
        "R2",
        "attempts are counted at the claim, so that a poison message ends",
        f"{CONVERSATION}/domain/transitions.py",
        "or it.cancel_requested_at or it.used_up or",
        "or it.cancel_requested_at or",
        (f"{CONVERSATION_TESTS}/test_sqlite.py",),
    ),
    Mutant(
        "R2",
        "an end is a compare-and-set on the attempt",
        f"{CONVERSATION}/domain/transitions.py",
        """    if it.state.terminal or it.attempt != attempt:
        return None
    return replace(
""",
        """    if it.state.terminal:
        return None
    return replace(
""",
        (f"{CONVERSATION_TESTS}/test_sqlite.py", f"{CONVERSATION_TESTS}/test_life_cycle.py"),
    ),
    Mutant(
        "R2",
        "a terminal state never changes",
        f"{CONVERSATION}/domain/transitions.py",
        """    if it.state.terminal or it.attempt != attempt:
        return None
    return replace(
""",
        """    if it.attempt != attempt:
        return None
    return replace(
""",
        (f"{CONVERSATION_TESTS}/test_sqlite.py", f"{CONVERSATION_TESTS}/test_life_cycle.py"),
    ),
    Mutant(
        "R2",
        "MongoDB: a change is a compare-and-set on the document's version",
        f"{CONVERSATION}/adapters/mongo/generations.py",
        '{"_id": old["_id"], "version": old["version"]}, update',
        '{"_id": old["_id"]}, update',
        (f"{CONVERSATION_TESTS}/mongo/test_contract.py",),
        ("mongodb",),
    ),
    Mutant(
        "R2",
        "the sweep puts a generation back whose lease ran out",
        f"{CONVERSATION}/domain/verdict.py",
        "return Verdict.REQUEUE",
        "return Verdict.WAIT",
        (f"{CONVERSATION_TESTS}/test_generations.py",),
    ),
    Mutant(
        "R2",
        "the sweep ends what is past its deadline",
        f"{CONVERSATION}/domain/verdict.py",
        "return Verdict.EXPIRE",
        "return Verdict.WAIT",
        (f"{CONVERSATION_TESTS}/test_generations.py",),
    ),
    Mutant(
        "R2",
        "the sweep asks again for what no worker took",
        f"{CONVERSATION}/domain/verdict.py",
        "return Verdict.REQUEST_AGAIN if",
        "return Verdict.WAIT if",
        (f"{CONVERSATION_TESTS}/test_generations.py",),
    ),
    Mutant(
        "R1",
        "the outbox: what a crash left unpaid is paid by the sweep",
        f"{CONVERSATION}/sweep.py",
        'await self._all(("debt", self._relay.pay(generation)) for generation in indebted)',
        "del indebted",
        (f"{CONVERSATION_TESTS}/test_away.py", f"{CONVERSATION_TESTS}/test_life_cycle.py"),
    ),
    Mutant(
        "R1",
        "a message is owed to the chat log from the commit on",
        f"{CONVERSATION}/handlers/sends.py",
        "outbox=(AppendMessage(new_id(), question), *draft.outbox)",
        "outbox=draft.outbox",
        (f"{CONVERSATION_TESTS}/test_sends.py",),
    ),
    Mutant(
        "R1",
        "finished means stored: the answer is in the chat log before the stream ends",
        f"{CONVERSATION}/relay.py",
        "            await self.store(generation)\n            await self._pay_all",
        "            await self._pay_all",
        (f"{CONVERSATION_TESTS}/test_generations.py",),
    ),
    Mutant(
        "R1",
        "SQLite: one request id, one generation",
        f"{CONVERSATION}/adapters/sqlite/generations.py",
        """            if first is not None:
                return to_generation(first)
            queued""",
        """            queued""",
        (f"{CONVERSATION_TESTS}/test_sqlite.py",),
    ),
    Mutant(
        "R1",
        "MongoDB: one request id, one generation",
        f"{CONVERSATION}/adapters/mongo/schema.py",
        '_index("by_request", "conversation_id", "request_id", unique=True, partialFilterExpression=once)',
        '_index("by_request", "conversation_id", "request_id", partialFilterExpression=once)',
        (f"{CONVERSATION_TESTS}/mongo/test_contract.py",),
        ("mongodb",),
    ),
    Mutant(
        "R1",
        "while a store is away, the end of an answer is not settled",
        f"{CONVERSATION}/entrypoints/consumer.py",
        """        except (Retryable, TimeoutError):
            raise
        except Exception as error:""",
        """        except Exception as error:""",
        (f"{CONVERSATION_TESTS}/test_consumer.py",),
    ),
    Mutant(
        "order",
        "what was acknowledged is in the chat log before the next message looks for its parent",
        f"{CONVERSATION}/handlers/sends.py",
        "await both(self._admission.check(owner_id), self._relay.store_all(conversation.id))",
        "await self._admission.check(owner_id)",
        (f"{CONVERSATION_TESTS}/test_order.py",),
    ),
    Mutant(
        "R6",
        "what a worker hands back uses up no attempt",
        f"{CONVERSATION}/domain/transitions.py",
        "handed_back=it.handed_back + handed_back",
        "handed_back=it.handed_back",
        (f"{CONVERSATION_TESTS}/test_sqlite.py",),
    ),
    Mutant(
        "R7",
        "a user has so many answers at once and no more",
        f"{CONVERSATION}/admission.py",
        "if mine >= self._most_per_user:",
        "if False:",
        (f"{CONVERSATION_TESTS}/test_sends.py",),
    ),
    Mutant(
        "R9",
        "a conversation is its owner's alone",
        f"{CONVERSATION}/handlers/access.py",
        "if conversation is None or conversation.owner_id != owner_id:",
        "if conversation is None:",
        (f"{CONVERSATION_TESTS}/test_conversations.py",),
    ),
    Mutant(
        "R9",
        "messages and generations are found by their owner alone",
        f"{CONVERSATION}/handlers/access.py",
        "for conversation in conversations if conversation.owner_id == owner_id}",
        "for conversation in conversations}",
        (f"{CONVERSATION_TESTS}/test_service.py",),
    ),
)
