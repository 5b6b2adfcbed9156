"""The tensors of a checkpoint: safetensors in one file or in shards. Pickled checkpoints are refused."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from parley_worker.models.errors import CheckpointError
from parley_worker.models.files import read_json


class Weights:
    """Reads tensors by name, each in the arithmetic and on the device asked for. A context manager."""

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device) -> None:
        self._folder, self._dtype, self._device = folder, dtype, device
        self._files: dict[Path, Any] = {}
        self._shards = _shards(folder)

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.clear()

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """The tensor called `name`, which must have this shape."""
        path = self._shards.get(name) if self._shards else self._folder / "model.safetensors"
        if path is None:
            raise CheckpointError(f"{self._folder / INDEX}: {name} is missing")
        tensor = self._read(path, name)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f"{path}: {name} has the shape {tuple(tensor.shape)}, config.json means {shape}")
        if not tensor.dtype.is_floating_point:
            raise CheckpointError(f"{path}: {name} is {tensor.dtype}: quantized checkpoints are not supported")
        return tensor.to(self._device, self._dtype)

    def _read(self, path: Path, name: str) -> torch.Tensor:
        try:
            if path not in self._files:
                self._files[path] = safe_open(path, framework="pt")
            file = self._files[path]
            if name not in file.keys():  # noqa: SIM118 - a safetensors file is not a mapping
                raise CheckpointError(f"{path}: {name} is missing")
            tensor: torch.Tensor = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        return tensor


INDEX = "model.safetensors.index.json"


def _shards(folder: Path) -> dict[str, Path]:
    """Which file holds each tensor; empty for a checkpoint in one file."""
    if (folder / "model.safetensors").exists():
        return {}
    if (folder / INDEX).exists():
        index = read_json(folder / INDEX)
        return {name: _shard(folder, name, file) for name, file in index.section("weight_map").values.items()}
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        raise CheckpointError(f"{folder / pickled[0]}: pickled checkpoints are refused; convert it to safetensors")
    raise CheckpointError(f"{folder / 'model.safetensors'}: is missing")


def _shard(folder: Path, name: str, file: object) -> Path:
    if not isinstance(file, str) or Path(file).name != file:
        raise CheckpointError(f"{folder / INDEX}: weight_map.{name} must be a file name, not {file!r}")
    path = folder / file
    if not path.exists():
        raise CheckpointError(f"{path}: is missing")
    return path
