"""The command line of the worker: `parley-worker`, which serves, and `parley-worker generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from parley_kit.settings import ConfigError, refuse_to_start
from parley_worker.config import CPU_CAPACITY, CUDA_CAPACITY, GIB, Dtype, EngineConfig, ExecutorKind
from parley_worker.generate import generate_file, open_progress
from parley_worker.settings import BUNDLED_MODEL

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Model = Annotated[
    Path | None,
    typer.Option(
        envvar="PARLEY_WORKER_MODEL", help="A Hugging Face checkpoint folder.", show_default="the bundled one"
    ),
]
Input = Annotated[
    Path, typer.Option("--input", help="JSON lines, each with id and one of prompt, prompt_ids, messages.")
]
Output = Annotated[Path, typer.Option("--output", help="Where the answers go, a JSON line each, in any order.")]
Capacity = Annotated[
    int | None,
    typer.Option(
        envvar="PARLEY_WORKER_CAPACITY",
        min=1,
        help="Answers at once.",
        show_default=f"{CPU_CAPACITY}, on CUDA {CUDA_CAPACITY}",
    ),
]
KvBytes = Annotated[int, typer.Option(envvar="PARLEY_WORKER_KV_BYTES", min=1, help="Memory for keys and values.")]
Arithmetic = Annotated[Dtype, typer.Option(envvar="PARLEY_WORKER_DTYPE", help="The arithmetic.")]
Executor = Annotated[ExecutorKind, typer.Option(envvar="PARLEY_WORKER_EXECUTOR", help="What computes the steps.")]
Threads = Annotated[
    int | None,
    typer.Option(envvar="PARLEY_WORKER_THREADS", min=1, help="CPU threads.", show_default="measured"),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on the terminal.")]


@app.callback(invoke_without_command=True)
def worker(context: typer.Context) -> None:
    """Parley's model server. Without a command it serves, as the environment says (docs/settings.md)."""
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve() -> None:
    """Answer the platform's requests until a signal. A set-up that cannot work: one line on stderr, exit code 2."""
    from parley_worker import process  # a file of requests needs no server, so none of their clients

    process.main()


@app.command()
def generate(
    source: Input,
    target: Output,
    model: Model = None,
    dtype: Arithmetic = Dtype.AUTO,
    capacity: Capacity = None,
    kv_bytes: KvBytes = 2 * GIB,
    threads: Threads = None,
    executor: Executor = ExecutorKind.AUTO,
    quiet: Quiet = False,
) -> None:
    """Answer a file of requests on the engine of the service.

    A request that cannot be answered gets a line with an error. Where stderr is a terminal it shows how far it is.

    A model or a file that cannot be used: one line on stderr, exit code 2, before any work.
    """
    config = EngineConfig(
        model or BUNDLED_MODEL,
        dtype=dtype,
        capacity=capacity,
        kv_bytes=kv_bytes,
        threads=threads,
        executor=executor,
    )
    try:
        with open_progress(quiet=quiet) as progress:
            uvloop.run(generate_file(config, source, target, progress))
    except OSError as error:
        refuse_to_start(ConfigError(f"{error.filename}: {error.strerror}"))
    except ValueError as error:
        refuse_to_start(ConfigError(str(error)))


def main() -> None:
    """The entry point `parley-worker`."""
    app()


if __name__ == "__main__":
    main()
