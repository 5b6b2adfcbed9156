"""Guards of the token streams."""

from __future__ import annotations

from mutants.mutant import Mutant

LIVE = "libs/live/src/parley_live"

MUTANTS = (
    Mutant(
        "R4",
        "Redis: an append of an older attempt is refused",
        f"{LIVE}/redis/scripts.py",
        "if state[1] ~= attempt or state[4] or redis",
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
        "or state[4] or redis.call('XLEN', stream) ~= tonumber(state[3]) then return -1 end",
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
)
