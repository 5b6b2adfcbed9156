"""The guards, each with what takes it away and the test that must fail then."""

from __future__ import annotations

from mutants.mutant import Mutant

CONVERSATION = "services/conversation/src/parley_conversation"
CONVERSATION_TESTS = "services/conversation/tests"
WORKER = "gpu-worker/src/parley_worker"
WORKER_TESTS = "gpu-worker/tests/worker"
LIVE = "libs/live/src/parley_live"
BUS = "libs/bus/src/parley_bus"
GATEWAY = "services/gateway/src/parley_gateway"
AUTH = "services/auth/src/parley_auth"

MUTANTS = (
    Mutant(
        "R4",
        "Redis: an append of an older attempt is refused",
        f"{LIVE}/redis/scripts.py",
        "if state[1] ~= ARGV[1] or state[4] or redis",
        "if state[4] or redis",
        ("libs/live/tests/test_redis.py::TestRedisLive::test_older_attempts_are_refused",),
        ("redis",),
    ),
    Mutant(
        "R4",
        "Redis: an older attempt cannot take the fence back",
        f"{LIVE}/redis/scripts.py",
        "if state[1] and (state[4] or tonumber(ARGV[1]) < tonumber(state[1])) then return 0 end",
        "if state[1] and state[4] then return 0 end",
        ("libs/live/tests/test_redis.py::TestRedisLive::test_older_attempts_are_refused",),
        ("redis",),
    ),
    Mutant(
        "R3",
        "Redis: an append that was repeated is written once",
        f"{LIVE}/redis/scripts.py",
        "if text == began and offset == stop then",
        "if text == began then",
        ("libs/live/tests/test_redis.py::TestRedisLive::test_a_repeated_append_is_written_once",),
        ("redis",),
    ),
    Mutant(
        "R3",
        "Redis: a stream that was trimmed is a lost one",
        f"{LIVE}/redis/scripts.py",
        "or state[4] or redis.call('XLEN', KEYS[1]) ~= tonumber(state[3]) then return -1 end",
        "or state[4] then return -1 end",
        ("libs/live/tests/test_redis_faults.py",),
        ("redis",),
    ),
    Mutant(
        "R4",
        "memory: an append of an older attempt is refused",
        f"{LIVE}/memory/streams.py",
        "or stream.ended or deltas[0].attempt != stream.attempt:",
        "or stream.ended:",
        ("libs/live/tests/test_memory.py", "tests/resilience/test_pause.py"),
    ),
    Mutant(
        "R4",
        "a worker whose lease ran out by its own clock writes nothing more",
        f"{WORKER}/writer.py",
        "if not self._allowed():",
        "if False:",
        (f"{WORKER_TESTS}/test_writer.py",),
    ),
    Mutant(
        "R4",
        "a lease is counted from before the heartbeat, not from its answer",
        f"{WORKER}/heartbeats.py",
        "assignment.renew(asked_at)",
        "assignment.renew(self._clock.monotonic())",
        (f"{WORKER_TESTS}/test_heartbeats.py",),
    ),
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
        (f"{CONVERSATION_TESTS}/test_generations.py", f"{CONVERSATION_TESTS}/test_life_cycle.py"),
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
        """        await self.store(generation)
        await gather_all(self._pay""",
        """        await gather_all(self._pay""",
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
        "return await newest_leaf(self._stores.chat_log, conversation_id) if repaired else newest",
        "return newest",
        (f"{CONVERSATION_TESTS}/test_order.py",),
    ),
    Mutant(
        "order",
        "a message that was owed, and paid while the next looks for its parent, is not passed over",
        f"{CONVERSATION}/handlers/sends.py",
        "if command.parent_id is None and _is_gap(parent, seq):",
        "if False:",
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
        "R6",
        "a worker that ends hands back what it has in hand",
        f"{WORKER}/consumer.py",
        "self._assignments.stop_all(Stop.HANDED_BACK)",
        "self._assignments.stop_all(Stop.LOST)",
        (f"{WORKER_TESTS}/test_takeover.py",),
    ),
    Mutant(
        "R1",
        "commit order: a request is settled on the bus once its claim is, not before",
        f"{WORKER}/consumer.py",
        "            await self._claim(delivery, request, assignment)\n",
        "            await self._settle(delivery)\n            await self._claim(delivery, request, assignment)\n",
        (f"{WORKER_TESTS}/test_consumer.py",),
    ),
    Mutant(
        "R2",
        "a request that is offered again while it is in hand is answered once",
        f"{WORKER}/assignments.py",
        "assignment = None if generation_id in self._held else Assignment(generation_id)",
        "assignment = Assignment(generation_id)",
        (f"{WORKER_TESTS}/test_consumer.py",),
    ),
    Mutant(
        "R1",
        "Kafka: what is in hand holds back the committed position",
        f"{BUS}/kafka/window.py",
        "return min(self._owed) if self._owed else self._next",
        "return self._next",
        ("libs/bus/tests/test_kafka.py",),
        ("kafka",),
    ),
    Mutant(
        "R3",
        "a successor goes on after what was streamed",
        f"{WORKER}/transcript.py",
        "return Prefix(tuple(token_ids), text)",
        "return Prefix()",
        (f"{WORKER_TESTS}/test_takeover.py", f"{WORKER_TESTS}/test_transcript.py"),
    ),
    Mutant(
        "R3",
        "a reader drops what it has had",
        f"{GATEWAY}/answers/cursor.py",
        "rest = delta.text[self._sent - delta.offset :]",
        "rest = delta.text",
        ("services/gateway/tests/test_answers.py",),
    ),
    Mutant(
        "R3",
        "a reader never passes over a gap",
        f"{GATEWAY}/answers/cursor.py",
        """        if delta.offset > self._sent:
            raise Gap
""",
        "",
        ("services/gateway/tests/test_answers.py",),
    ),
    Mutant(
        "R3",
        "a text that was begun anew is told as such",
        f"{GATEWAY}/answers/cursor.py",
        "return began != self._began",
        "return False",
        ("services/gateway/tests/test_answers.py",),
    ),
    Mutant(
        "R3",
        "a reader whose text was lost for good is told so",
        f"{GATEWAY}/answers/reader.py",
        "for restart in cursor.drop(generation.attempt):",
        "for restart in ():",
        ("services/gateway/tests/test_reader.py",),
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
    Mutant(
        "R3",
        "a reader drops what it has had (seen by the fault harness)",
        f"{GATEWAY}/answers/cursor.py",
        "rest = delta.text[self._sent - delta.offset :]",
        "rest = delta.text",
        ("tests/resilience/test_chaos.py",),
        chaos=True,
    ),
    Mutant(
        "R1",
        "finished means stored (seen by the fault harness)",
        f"{CONVERSATION}/relay.py",
        "        await self.store(generation)\n        await gather_all(self._pay",
        "        await gather_all(self._pay",
        ("tests/resilience/test_chaos.py",),
        chaos=True,
    ),
    Mutant(
        "chaos",
        "the checker sees a gap",
        "tests/chaos/checker/readings.py",
        'elif event["offset"] != len(self.held) or not event["text"]:',
        'elif not event["text"]:',
        ("tests/resilience/test_checker.py",),
    ),
    Mutant(
        "chaos",
        "the checker sees a writer that was fenced off",
        "tests/chaos/checker/readings.py",
        "if attempt < self.attempt:",
        "if False:",
        ("tests/resilience/test_checker.py",),
    ),
    Mutant(
        "chaos",
        "the checker sees a lost message",
        "tests/chaos/checker/messages.py",
        "if send.acknowledged and stored != [send.acknowledged[0].message]:",
        "if False:",
        ("tests/resilience/test_checker.py",),
    ),
)
