"""What a worker reads from its environment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr

from parley_kit.tls import TlsSettings
from parley_worker.config import GIB, Dtype

BUNDLED_MODEL = Path(__file__).parent / "bundled" / "parley-small"
TORCH_CAPACITY = 8
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
        description="the model's name for clients; default: the folder's name",
    )
    worker_capacity: int | None = Field(
        None, ge=1, le=4096, description=f"answers at once; default {TORCH_CAPACITY}, scripted {SCRIPTED_CAPACITY}"
    )
    worker_dtype: Dtype = Field(Dtype.AUTO, description="the arithmetic: auto, float32 or bfloat16")
    worker_threads: int | None = Field(None, ge=1, description="CPU threads of a model step; default: physical cores")
    worker_kv_bytes: int = Field(
        2 * GIB, ge=1, description="memory for keys and values in all; less means fewer answers"
    )
    scripted_interval_ms: float = Field(20.0, ge=0, description="milliseconds between the scripted backend's tokens")
    conversation_address: str = Field(description="host:port of the conversation service")
    service_token: SecretStr = Field(description="the secret that Parley's own services show each other")

    @property
    def model_folder(self) -> Path:
        """The checkpoint that the torch backend serves."""
        return self.worker_model or BUNDLED_MODEL

    @property
    def model_name(self) -> str:
        """The model's name for clients, in topics and in heartbeats."""
        if self.worker_model_name is not None:
            return self.worker_model_name
        return SCRIPTED_NAME if self.worker_backend is BackendKind.SCRIPTED else self.model_folder.resolve().name

    @property
    def capacity(self) -> int:
        """Answers made at once."""
        default = SCRIPTED_CAPACITY if self.worker_backend is BackendKind.SCRIPTED else TORCH_CAPACITY
        return self.worker_capacity or default
