"""From a configuration to a model that was measured and can run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from parley_worker.config import CPU_CAPACITY, CUDA_CAPACITY, Dtype, EngineConfig, ExecutorKind
from parley_worker.engine.calibration import choose_step_tokens, choose_threads
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.executor import Executor
from parley_worker.engine.machine import choose_device, choose_dtype, count_physical_cores
from parley_worker.engine.runner import Runner, StepRunner
from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.kv.cache import blocks_for
from parley_worker.models.config import ModelConfig, read_model_config
from parley_worker.models.loader import load_model
from parley_worker.native.opening import open_native
from parley_worker.native.runner import NativeRunner
from parley_worker.native.sampler import NativeSampler
from parley_worker.scheduler.batch import BLOCK_SIZE
from parley_worker.scheduler.ngram import NgramProposer
from parley_worker.scheduler.scheduler import Scheduler

# A block costs the scheduler some memory too: more of them are kept only where more can be in use.
_KEPT_BLOCKS = 1 << 16


@dataclass(frozen=True, slots=True)
class Engine:
    """What computes steps, and who decides on them. proposer: of the scheduler's drafts, if there is one."""

    runner: StepRunner
    scheduler: Scheduler
    proposer: NgramProposer | None
    capacity: int
    window: int


def open_engine(config: EngineConfig, commands: int | None = None) -> Engine:
    """Load the model and measure it. Raises CheckpointError or EngineConfigError, one readable line.

    commands: a file from which something can be read when the engine is wanted; see `NativeRunner`.
    """
    model, device = read_model_config(config.model), choose_device(config)
    on_cuda = device.type == "cuda" and config.executor is not ExecutorKind.TORCH
    open_runner = _open_cuda if on_cuda else partial(_open_plain, commands=commands)
    executor, runner, step_tokens = open_runner(config, model, device)
    window = min(model.window, executor.blocks * BLOCK_SIZE)
    capacity = min(config.capacity or (CUDA_CAPACITY if on_cuda else CPU_CAPACITY), executor.blocks)
    # Where rows of other batches come out a little different, a draft could change an answer.
    proposer = NgramProposer() if config.speculation and executor.invariant else None
    scheduler = Scheduler(
        min(executor.blocks, max(_KEPT_BLOCKS, capacity * blocks_for(window))),
        capacity,
        window,
        step_tokens,
        lookahead=runner.looks_ahead,
        share=not model.needs_lengths,
        proposer=proposer,
        rounds=runner.rounds,
    )
    return Engine(runner, scheduler, proposer, capacity, window)


def _open_cuda(config: EngineConfig, model: ModelConfig, device: torch.device) -> tuple[Executor, StepRunner, int]:
    from parley_worker.cuda import opening, runner  # Triton is for those who have a GPU

    executor = opening.open_cuda(config, model, device)
    return executor, runner.CudaRunner(executor), config.step_tokens or opening.MOST_STEP_TOKENS


def _open_plain(
    config: EngineConfig, model: ModelConfig, device: torch.device, commands: int | None
) -> tuple[Executor, StepRunner, int]:
    """An executor that computes while it is called, on the threads that were asked for or are worth it."""
    torch.set_num_threads(1)
    native = open_native(config, device)
    executor = native or _open_torch(config, model, device)
    set_threads = native.set_threads if native else torch.set_num_threads
    if config.threads:
        try:
            set_threads(config.threads)
        except OSError as error:
            raise EngineConfigError(f"threads: {error}") from error
    elif device.type == "cpu":
        choose_threads(executor, set_threads, count_physical_cores())
    runner: StepRunner = Runner(executor)
    if native:
        runner = NativeRunner(native, NativeSampler(native.pool, model.vocab_size), commands)
    return executor, runner, config.step_tokens or choose_step_tokens(executor, model.window)


def _open_torch(config: EngineConfig, model: ModelConfig, device: torch.device) -> TorchExecutor:
    if config.dtype is Dtype.INT8 and device.type != "cpu":
        raise EngineConfigError("dtype: torch multiplies int8 on a CPU alone")
    dtype = choose_dtype(config, device)
    block_bytes = BLOCK_SIZE * model.kv_bytes_per_token(dtype.itemsize)
    blocks = config.kv_bytes // block_bytes
    if not blocks:
        raise EngineConfigError(f"kv_bytes: {config.kv_bytes} bytes do not hold a block of {block_bytes}")
    decoder = load_model(config.model, dtype, device, int8=config.dtype is Dtype.INT8)
    return TorchExecutor(decoder, blocks)
