"""The engine on a CUDA device beside its roofline and transformers' continuous batching.

    make bench-gpu

nano-vllm's workload, its bench.py with seed 0: 256 prompts of U(100, 1024) tokens and as long answers, 133,966 answered
tokens in all, on a model of the shape of Qwen3-0.6B; then one stream of a model of the shape of Llama-3.1-8B, in
bfloat16 and in 8 bits. Weights are random: a step takes as long. The engine's process and its text side are left out.
"""

from __future__ import annotations

import time
from random import randint, seed
from typing import Any

import torch
from bench.engine.parts import report
from bench.gpu.shapes import LLAMA_8B, QWEN3_06B, Roofline, random_decoder

STREAMS, STEP_TOKENS, WINDOW = 256, 8192, 2064
CONTEXT, DECODED = 512, 128


def main() -> None:
    if not torch.cuda.is_available():
        print("bench-gpu: there is no CUDA device here, nothing is measured")
        return
    roofline = Roofline.measure()
    print(f"{torch.cuda.get_device_name()}: {roofline.bandwidth / 1e12:.2f} TB/s, {roofline.flops / 1e12:.0f} TFLOP/s")
    results = {"workload": compare_workload(roofline), "stream": measure_stream(roofline)}
    report.save("gpu", {"device": torch.cuda.get_device_name(), **results})


def compare_workload(roofline: Roofline) -> dict[str, float]:
    """Answered tokens a second."""
    prompts, outputs = make_workload()
    model = random_decoder(QWEN3_06B)
    total, lengths = sum(outputs), list(map(len, prompts))
    limit = total / roofline.workload_seconds(model.config, lengths, outputs)
    ours = total / time_ours(model, prompts, outputs)
    del model
    theirs = total / time_transformers(prompts, outputs)
    rows = [("roofline", limit), ("parley", ours), ("transformers", theirs)]
    report.table(("256 sequences, Qwen3-0.6B", "tok/s", "of roofline"), [(*row, row[1] / limit) for row in rows])
    return dict(rows)


def make_workload() -> tuple[list[list[int]], list[int]]:
    seed(0)
    prompts = [[randint(0, 10000) for _ in range(randint(100, 1024))] for _ in range(STREAMS)]
    return prompts, [randint(100, 1024) for _ in range(STREAMS)]


def time_ours(model: Any, prompts: list[list[int]], outputs: list[int]) -> float:
    from parley_worker.cuda.executor import CudaExecutor, Limits
    from parley_worker.cuda.runner import CudaRunner
    from parley_worker.scheduler.request import Request, Sampling
    from parley_worker.scheduler.scheduler import Scheduler
    from parley_worker.testing.lookahead import drive

    blocks = sum(-(-(len(p) + o) // 16) for p, o in zip(prompts, outputs, strict=True))
    executor = CudaExecutor(model, blocks, Limits(STREAMS, STEP_TOKENS + STREAMS, WINDOW))
    executor.capture()
    sampling = Sampling(temperature=0.6, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=0)
    taken = 0.0
    for _ in range(2):  # the first compiles what prompts need
        scheduler = Scheduler(blocks, STREAMS, WINDOW, STEP_TOKENS, lookahead=True, share=False)
        for index, (prompt, count) in enumerate(zip(prompts, outputs, strict=True)):
            scheduler.add(Request(tuple(prompt), 0, count, frozenset(), sampling, id=str(index)))
        began = time.perf_counter()
        made = sum(output.token_id is not None for output in drive(scheduler, CudaRunner(executor), lookahead=True))
        taken = time.perf_counter() - began
        if made != sum(outputs):
            raise RuntimeError(f"{made} tokens of {sum(outputs)}")
    return taken


def time_transformers(prompts: list[list[int]], outputs: list[int]) -> float:
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    config = AutoConfig.for_model(**{key: value for key, value in QWEN3_06B.items() if key != "architectures"})
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    generation = GenerationConfig(do_sample=True, temperature=0.6, eos_token_id=-1, pad_token_id=0)
    taken = 0.0
    for repeat in range(2):
        manager = model.init_continuous_batching(generation_config=generation)
        manager.start()
        began = time.perf_counter()
        for index, (prompt, count) in enumerate(zip(prompts, outputs, strict=True)):
            manager.add_request(prompt, f"{repeat}-{index}", max_new_tokens=count, eos_token_id=-1)
        ended = 0
        while ended < len(prompts):
            answer = manager.get_result(timeout=60)
            if answer is None:
                raise RuntimeError("transformers has given nothing for a minute")
            ended += answer.is_finished()
        taken = time.perf_counter() - began
        manager.stop(block=True)
    return taken


def measure_stream(roofline: Roofline) -> dict[str, float]:
    """Seconds a step of one row takes, with its weights in 16 and in 8 bits."""
    from parley_worker.cuda.narrow import narrow

    model = random_decoder(LLAMA_8B)
    results: dict[str, float] = {}
    rows = []
    for name, size, decoder in (("bfloat16", 2, lambda: model), ("int8", 1, lambda: narrow(model, torch.int8))):
        seconds = time_stream(decoder())
        limit = roofline.decode_seconds(model.config, size, [CONTEXT + DECODED // 2])
        results[name] = seconds
        rows.append((name, 1e3 * seconds, 1e3 * limit, limit / seconds))
    report.table(("1 sequence, Llama-3.1-8B", "ms a step", "roofline", "of roofline"), rows)
    return results


def time_stream(model: Any) -> float:
    """Steps as fast as they can be launched: the sampler is left out."""
    import numpy as np

    from parley_worker.cuda.executor import CudaExecutor, Limits
    from parley_worker.scheduler.batch import Batch

    executor = CudaExecutor(model, 64, Limits(1, 16, 1024))
    table = np.arange(64, dtype=np.int32)[None]

    def step(position: int) -> None:
        at = np.array([position])
        executor.execute(Batch(np.array([7]), at, at + 1, np.array([0, 1], np.int32), table, np.zeros(1, np.int64)))

    for position in range(CONTEXT):
        step(position)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for position in range(CONTEXT, CONTEXT + DECODED):
        step(position)
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / DECODED


if __name__ == "__main__":
    main()
