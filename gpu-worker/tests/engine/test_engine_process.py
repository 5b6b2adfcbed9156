"""The engine's process: it ends with its parent, and its death is survived."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from safetensors.torch import load_file, save_file

from parley_kit.clock import SystemClock
from parley_kit.errors import BadInput, DeadlineExceeded, Internal, Unavailable
from parley_worker.backends.torch import Checkpoint, TorchBackend, open_torch_backend
from parley_worker.config import EngineConfig
from parley_worker.core import ChatMessage, Job, Prefix, SamplingParams
from parley_worker.engine.client import EngineClient
from parley_worker.engine.errors import EngineConfigError, UnfitRequest
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.request import Request, Sampling
from parley_worker.testing.platform import open_platform

HELLO = (ChatMessage("user", "hello"),)
# Its window is 60,000 tokens: it does not end while a test looks on.
LONG = Job("long", HELLO, SamplingParams(temperature=0, ignore_eos=True))
TURNS = tuple(ChatMessage(("user", "assistant")[index % 2], "hello there " * 5) for index in range(41))
SHORT = replace(LONG, params=replace(LONG.params, max_tokens=20))
PARENT = """
import asyncio, sys
from pathlib import Path
from parley_worker.config import EngineConfig
from parley_worker.engine.client import EngineClient

async def main():
    async with EngineClient(EngineConfig(Path(sys.argv[1]), threads=1)) as client:
        print(client.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(wide_checkpoint: Path) -> AsyncIterator[EngineClient]:
    async with EngineClient(EngineConfig(wide_checkpoint, threads=1), restart_delay=0.01) as opened:
        yield opened


@pytest.fixture(scope="module")
def backend(client: EngineClient, wide_checkpoint: Path) -> TorchBackend:
    return TorchBackend(Checkpoint.read(EngineConfig(wide_checkpoint)), client, "wide")


async def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited is the state of another process
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that only waits to be counted does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_signals_to_the_group_leave_the_engine_to_its_parent(backend: TorchBackend, client: EngineClient) -> None:
    pid = client.pid
    assert pid
    async with aclosing(backend.generate(LONG)) as answer:
        await anext(answer)
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        assert [chunk async for chunk in backend.generate(SHORT)][-1].finish_reason
        await anext(answer)
    assert client.pid == pid


async def test_when_the_engine_dies_jobs_are_unavailable_until_it_is_back(
    backend: TorchBackend, client: EngineClient
) -> None:
    async with aclosing(backend.generate(LONG)) as answer:
        first = await anext(answer)
        pid = client.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            async for _ in answer:
                pass
    assert not backend.ready
    with pytest.raises(Unavailable):
        await anext(backend.generate(LONG))
    await until(lambda: backend.ready)
    assert client.pid != pid
    resumed = Job("long", HELLO, LONG.params, Prefix(first.token_ids, first.text))
    rest = await beginning(backend, resumed, 100)
    assert first.text + rest == await beginning(backend, LONG, len(first.text) + 100)


async def test_a_seeded_answer_that_the_engine_died_over_is_taken_up_where_its_stream_stopped(
    backend: TorchBackend, client: EngineClient
) -> None:
    """From the request on the bus to the terminal event: nobody can see in the text that there were two attempts."""
    async with open_platform(SystemClock(), "wide") as platform:
        async with platform.worker(backend):
            generation_id = await platform.ask("hello", max_tokens=50_000, temperature=1.0, seed=11)
            await platform.text_reaches(generation_id, 20)
            assert client.pid
            os.kill(client.pid, signal.SIGKILL)
            # What the first attempt had not written yet is written before it is given back.
            await platform.owner.called.until(lambda: platform.owner.released == [generation_id])
            before = sum(len(delta.text) for delta in await platform.deltas(generation_id))
            await backend.wait_ready()
            await platform.text_reaches(generation_id, before + 20)
            await platform.live.cancel(generation_id)
            event = await platform.end()
        params = SamplingParams(max_tokens=50_000, temperature=1.0, seed=11)
        expected = await beginning(backend, Job("whole", HELLO, params), len(event.text))
    assert (event.attempt, event.began_attempt) == (2, 1)
    assert len(event.text) >= before + 20
    assert event.text == expected
    assert "".join(delta.text for delta in await platform.deltas(generation_id)) == expected


async def beginning(backend: TorchBackend, job: Job, length: int) -> str:
    """So much of the text of an answer."""
    text = ""
    async with aclosing(backend.generate(job)) as answer:
        while len(text) < length:
            text += (await anext(answer)).text
    return text[:length]


async def test_what_an_answer_left_in_the_cache_is_found_by_its_successor_and_by_the_next_turn(
    backend: TorchBackend,
) -> None:
    messages = (ChatMessage("user", "a lantern is a lamp that can be carried " * 2),)
    params = SamplingParams(max_tokens=60, temperature=0, ignore_eos=True)
    job = Job("a", messages, params)
    whole = [chunk async for chunk in backend.generate(job)]
    text, token_ids = "".join(chunk.text for chunk in whole), sum((chunk.token_ids for chunk in whole), ())
    prompt_tokens = whole[-1].usage.prompt_tokens if whole[-1].usage else 0
    half = Prefix(token_ids[:30], "")
    rest = [chunk async for chunk in backend.generate(replace(job, resume=half))]
    assert "".join(chunk.text for chunk in rest) == text
    assert half.token_ids + sum((chunk.token_ids for chunk in rest), ()) == token_ids
    # Told with the first chunk and the last, which are one where the engine is done before it is looked at.
    assert {chunk.usage.cached_tokens for chunk in rest if chunk.usage} == {prompt_tokens}
    following = (*messages, ChatMessage("assistant", text[:10]), ChatMessage("user", "go on"))
    answer = await anext(backend.generate(replace(job, messages=following)))
    assert answer.usage
    assert answer.usage.cached_tokens >= BLOCK_SIZE * (prompt_tokens // BLOCK_SIZE - 1) > 0


async def test_tokens_of_a_model_with_more_of_them_cannot_be_resumed(backend: TorchBackend) -> None:
    """So that an attempt begins anew, rather than blame the messages."""
    with pytest.raises(BadInput) as caught:
        await anext(backend.generate(replace(LONG, resume=Prefix((10**6,), "x"))))
    assert caught.value.field == "resume"


async def test_the_engine_ends_a_job_at_its_deadline_and_goes_on(backend: TorchBackend) -> None:
    async with aclosing(backend.generate(LONG)) as other:
        await anext(other)
        with pytest.raises(DeadlineExceeded):
            await anext(backend.generate(replace(LONG, deadline=time.monotonic())))
        await anext(other)


async def test_the_engine_dies_with_a_parent_that_is_killed(checkpoint: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(checkpoint), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert parent.stdout
        pid = int(await asyncio.wait_for(parent.stdout.readline(), 40))
        assert alive(pid)
    finally:
        parent.kill()
        await parent.wait()
    await until(lambda: not alive(pid), seconds=5)


async def test_a_broken_folder_is_one_readable_line(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).symlink_to(checkpoint / name)
    with pytest.raises(EngineConfigError, match=r"model\.safetensors: is missing"):
        async with open_torch_backend(EngineConfig(tmp_path, threads=1)):
            raise AssertionError("opened")


async def test_too_little_memory_shrinks_window_and_capacity_and_leaving_ends_the_process(checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    token_bytes = 2 * config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"] * 4
    config_of_110 = EngineConfig(checkpoint, threads=1, kv_bytes=110 * token_bytes)
    async with EngineClient(config_of_110) as client:
        pid = client.pid
        backend = TorchBackend(Checkpoint.read(config_of_110), client, "tiny")
        window, capacity = backend.model.context_length, backend.model.capacity
        assert window == capacity * BLOCK_SIZE  # one executor keeps a block for itself, another does not
        assert window in (80, 96)
        with pytest.raises(BadInput, match="window"):
            await anext(backend.answer(tuple(range(110)), SamplingParams()))
        for messages in (HELLO, TURNS, (ChatMessage("user", "hello there " * 2000),)):
            usage = [chunk async for chunk in backend.generate(replace(LONG, messages=messages))][-1].usage
            assert usage
            assert usage.prompt_tokens <= window * 3 // 4
            assert usage.prompt_tokens + usage.completion_tokens == window
    assert pid
    assert not alive(pid)


async def test_scores_that_are_not_finite_are_an_error_of_the_job(new_checkpoint: Callable[..., Path]) -> None:
    folder = new_checkpoint()
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"].fill_(3e38)
    weights["lm_head.weight"].mul_(100)
    save_file(weights, folder / "model.safetensors")
    async with open_torch_backend(EngineConfig(folder, threads=1)) as backend:
        for _ in range(2):
            with pytest.raises(Internal, match="not finite"):
                await anext(backend.generate(LONG))
        assert backend.ready


async def test_a_request_that_can_never_fit_is_refused_alone(backend: TorchBackend, client: EngineClient) -> None:
    sampling = Sampling(temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)
    unfit = Request((1,) * client.window, 0, 1, frozenset(), sampling)
    async with aclosing(backend.generate(LONG)) as answer:
        await anext(answer)
        pid = client.pid
        with pytest.raises(UnfitRequest):
            await anext(client.generate(unfit))
        await anext(answer)
    assert client.pid == pid
