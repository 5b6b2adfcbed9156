"""What a worker counts of its answers."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client import REGISTRY

from parley_bus.base import Record
from parley_kit.clock import ManualClock
from parley_worker.backends.scripted import ScriptedBackend
from parley_worker.core import Chunk, Usage
from parley_worker.engine.messages import Ran
from parley_worker.meter import EngineMeter, Meter
from parley_worker.requests import published_at
from parley_worker.scheduler.stats import StepStats
from parley_worker.testing.platform import Platform


class Counts:
    """How much each metric of a model has grown since."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._before = self._all()

    def __call__(self, name: str, **labels: str) -> float:
        key = (f"parley_worker_{name}", frozenset({"model": self._model, **labels}.items()))
        return self._all().get(key, 0.0) - self._before.get(key, 0.0)

    def _all(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for sample in samples
            if sample.labels.get("model") == self._model
        }


async def test_an_answer_is_counted_from_the_queue_to_its_end(platform: Platform) -> None:
    grown = Counts("scripted")
    async with platform.worker(ScriptedBackend(1)):
        assert REGISTRY.get_sample_value("parley_worker_capacity", {"model": "scripted"}) == 256
        await platform.ask("three words here", max_tokens=5)
        await platform.end()
    assert (grown("tokens_total"), grown("prompt_tokens_total")) == (5, 3)
    assert grown("finishes_total", reason="length") == 1
    assert grown("attempts_total", ending="completed") == 1
    for name in ("queue_wait", "first_token", "token"):
        assert grown(f"{name}_seconds_count") == 1
    assert 0 < grown("queue_wait_seconds_sum") < 30
    assert grown("takeovers_total", kind="resumed") == grown("takeovers_total", kind="restarted") == 0


@pytest.mark.parametrize(("lose", "kind"), [(False, "resumed"), (True, "restarted")])
async def test_a_takeover_is_counted_by_what_readers_saw(platform: Platform, lose: bool, kind: str) -> None:
    grown = Counts("scripted")
    async with platform.worker(ScriptedBackend(2)):
        generation_id = await platform.ask(max_tokens=60)
        await platform.text_reaches(generation_id, 1)
    if lose:
        platform.lose_streams()
    async with platform.worker(ScriptedBackend(1)):
        await platform.end()
    kinds = {name: grown("takeovers_total", kind=name) for name in ("resumed", "restarted")}
    assert kinds == {"resumed": 0, "restarted": 0, kind: 1}


def test_times_are_measured_from_the_claim_and_from_the_first_token() -> None:
    clock, grown = ManualClock(), Counts("measured")
    meter = Meter("measured", clock)
    for seconds, chunk in (
        (0.5, Chunk("", (1,))),
        (0.25, Chunk("ab", (2, 3))),
        (0.75, Chunk("c", (4, 5), usage=Usage(10, 5, 8))),
    ):
        clock.advance(seconds)
        meter.add(chunk)
    clock.advance(9)
    meter.end(attempt=1, began=1)
    assert (grown("first_token_seconds_sum"), grown("token_seconds_sum")) == (0.5, 0.25)
    assert (grown("tokens_total"), grown("prompt_tokens_total"), grown("cached_tokens_total")) == (5, 10, 8)


def test_a_text_without_token_ids_counts_as_one() -> None:
    clock, grown = ManualClock(), Counts("counted")
    meter = Meter("counted", clock)
    for chunk in (Chunk("", ()), Chunk("a", ()), Chunk("b", ()), Chunk("", (), usage=Usage(1, 2))):
        meter.add(chunk)
    meter.end(attempt=1, began=1)
    assert grown("tokens_total") == 2


@pytest.mark.parametrize("headers", [{}, {"ce_time": "yesterday"}, {"ce_time": "0001-01-01T00:00:00+01:00"}])
def test_a_record_that_does_not_say_when_it_was_made_has_no_wait(headers: dict[str, str]) -> None:
    assert published_at(Record("topic", "key", b"", headers)) is None


STATS = StepStats(
    rounds=1,
    rows=40,
    decode_rows=9,
    prompt_rows=31,
    running=3,
    waiting=2,
    blocks_used=10,
    blocks_cached=5,
    blocks_total=64,
    prefix_hits=48,
    preemptions=1,
    drafts_proposed=6,
    drafts_accepted=4,
)


def test_a_step_is_counted_by_what_it_computed_and_what_it_left() -> None:
    grown, meter = Counts("stepped"), EngineMeter("stepped")
    meter.ran(Ran([], 0.25, STATS))
    meter.ran(Ran([], 0.5, msgspec.structs.replace(STATS, blocks_used=20, running=4, preemptions=0)))
    assert (grown("step_seconds_count"), grown("step_seconds_sum")) == (2, 0.75)
    assert [grown("rows_total", kind=kind) for kind in ("decode", "draft", "prompt")] == [6, 12, 62]
    assert [grown("sequences", state=state) for state in ("running", "waiting")] == [4, 2]
    assert [grown("kv_blocks", state=state) for state in ("used", "cached", "free")] == [20, 5, 39]
    totals = (grown("prefix_tokens_total"), grown("preemptions_total"), grown("drafts_accepted_total"))
    assert totals == (96, 1, 8)


def test_each_round_of_a_step_counts_as_one() -> None:
    grown = Counts("rounds")
    EngineMeter("rounds").ran(Ran([], 0.75, msgspec.structs.replace(STATS, rounds=3)))
    assert (grown("step_seconds_count"), grown("step_seconds_sum")) == (3, 0.75)


def test_an_engine_that_died_holds_nothing() -> None:
    grown, meter = Counts("dead"), EngineMeter("dead")
    meter.ran(Ran([], 0.25, STATS))
    meter.ran(Ran([]))  # a refusal, which is no step
    assert grown("sequences", state="running") == 3
    meter.died()
    assert (grown("engine_deaths_total"), grown("step_seconds_count")) == (1, 1)
    for state in ("running", "waiting"):
        assert grown("sequences", state=state) == 0
    for state in ("used", "cached", "free"):
        assert grown("kv_blocks", state=state) == 0
