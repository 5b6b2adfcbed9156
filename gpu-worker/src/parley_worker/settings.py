"""What a worker reads from its environment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr

from parley_kit.tls import TlsSettings
from parley_worker.backends.openai.dialects import Dialect
from parley_worker.config import CPU_CAPACITY, CUDA_CAPACITY, GIB, Dtype, ExecutorKind

BUNDLED_MODEL = Path(__file__).parent / "bundled" / "parley-small"
OPENAI_CAPACITY = 32
SCRIPTED_CAPACITY = 256
SCRIPTED_NAME = "scripted"


class BackendKind(StrEnum):
    TORCH = "torch"
    SCRIPTED = "scripted"
    OPENAI = "openai"


class WorkerSettings(TlsSettings):
    worker_backend: BackendKind = Field(BackendKind.TORCH, description="what answers: torch, scripted or openai")
    worker_model: Path | None = Field(None, description="a Hugging Face checkpoint folder; default: the bundled model")
    worker_model_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="the model's name for clients; default: the folder's name, or the server's",
    )
    worker_capacity: int | None = Field(
        None,
        ge=1,
        le=4096,
        description=f"answers at once; default {CPU_CAPACITY}, on CUDA {CUDA_CAPACITY}, openai {OPENAI_CAPACITY}, "
        f"scripted {SCRIPTED_CAPACITY}",
    )
    worker_dtype: Dtype = Field(Dtype.AUTO, description="the arithmetic: auto, float32, bfloat16 or int8")
    worker_executor: ExecutorKind = Field(
        ExecutorKind.AUTO,
        description="what computes the steps: native (our own CPU kernels; the start is refused without them), torch, "
        "or auto: native on a CPU where it can be had",
    )
    worker_threads: int | None = Field(None, ge=1, description="CPU threads of a model step; default: measured")
    worker_kv_bytes: int = Field(
        2 * GIB, ge=1, description="memory for keys and values in all; less means fewer answers"
    )
    worker_speculation: bool = Field(
        True, description="draft answers from what was said before, where that pays; changes their speed alone"
    )
    scripted_interval_ms: float = Field(20.0, ge=0, description="milliseconds between the scripted backend's tokens")
    openai_url: str | None = Field(
        None,
        pattern=r"^https?://[^/@\s]+(/\S*)?$",
        description="the openai backend's server, as http://host:8000/v1; /v1 where no path is given",
    )
    openai_api_key: SecretStr | None = Field(None, description="that server's key, if it asks for one")
    openai_model: str | None = Field(None, description="the model's name there; default: the only one that it lists")
    openai_dialect: Dialect = Field(
        Dialect.OPENAI,
        description="what it takes beyond the protocol: openai (nothing: an interrupted answer begins again, top_k is "
        "refused), vllm (also SGLang), llamacpp or ollama (both go on with an answer; ollama refuses top_k)",
    )
    openai_context_length: int | None = Field(
        None, ge=16, description="the window in tokens; default: as the server tells (vLLM, SGLang, llama.cpp)"
    )
    openai_connect_seconds: float = Field(2.0, gt=0, description="the longest wait for a connection to it")
    openai_silence_seconds: float = Field(
        300.0, gt=0, description="the longest pause of an answer, from the request to the first token too"
    )
    openai_patience_seconds: float = Field(
        20.0, ge=0, description="for how long a request without a first token is tried again"
    )
    conversation_address: str = Field(description="host:port of the conversation service")
    service_token: SecretStr = Field(description="the secret that Parley's own services show each other")

    @property
    def model_folder(self) -> Path:
        """The checkpoint that the torch backend serves."""
        return self.worker_model or BUNDLED_MODEL

    @property
    def model_name(self) -> str:
        """The model's name for clients, in topics and in heartbeats. The openai backend may know a better one."""
        if self.worker_model_name is not None:
            return self.worker_model_name
        return SCRIPTED_NAME if self.worker_backend is BackendKind.SCRIPTED else self.model_folder.resolve().name
