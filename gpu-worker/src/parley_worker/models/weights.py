"""The tensors of a checkpoint: safetensors in one file or in shards. Pickled checkpoints are refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from parley_worker.models.errors import CheckpointError
from parley_worker.models.files import read_json
from parley_worker.models.quantized import MOST_INPUTS, quantize

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
_BLOCK_ELEMENTS = 1 << 22
_QUANTIZED_AT_ONCE = 1 << 18

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor lies, and its shape and type as the file's header says."""

    path: Path
    shape: Shape
    dtype: str


class Weights:
    """The tensors of a folder by name: headers are read at once, tensors when they are copied.

    A tensor is copied piece by piece, and its file is mapped for one piece at a time: beside the finished weights no
    more is in memory than a piece.
    """

    def __init__(self, folder: Path, dtype: torch.dtype, device: torch.device) -> None:
        """Raises CheckpointError for a file that is missing, damaged or pickled."""
        self._dtype, self._device = dtype, device
        self._converted = torch.empty(0)
        self._listing, self._entries = _read_entries(folder)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def check(self, shapes: Mapping[str, Shape]) -> None:
        """Raise CheckpointError for a tensor that is missing or has another shape, or a type that is quantized."""
        for name, shape in shapes.items():
            entry = self._entry(name)
            if entry.shape != shape:
                raise CheckpointError(f"{entry.path}: {name} has the shape {entry.shape}, config.json means {shape}")
            if entry.dtype not in _DTYPES:
                problem = f"{name} is {entry.dtype}: quantized checkpoints are not supported"
                raise CheckpointError(f"{entry.path}: {problem}")

    def error(self, name: str, problem: str) -> CheckpointError:
        return CheckpointError(f"{self._entry(name).path}: {name} {problem}")

    def shape(self, name: str) -> Shape:
        return self._entry(name).shape

    def dtype(self, name: str) -> torch.dtype:
        """The type that a tensor has in its file, once `check` has found it to be one of numbers."""
        return _DTYPES[self._entry(name).dtype]

    def same(self, one: str, other: str) -> bool:
        """Whether two tensors of one shape hold the same values."""
        with _mapped(self._entry(one).path, one) as left, _mapped(self._entry(other).path, other) as right:
            return left.dtype == right.dtype and torch.equal(left, right)

    def read(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor as the file has it, in the arithmetic (or another type) and on the device asked for."""
        target = torch.empty(self._entry(name).shape, dtype=dtype or self._dtype, device=self._device)
        self._copy(name, target)
        return target

    def transposed(self, names: list[str]) -> Tensor:
        """Matrices [outputs, inputs] of equal inputs, side by side as one [inputs, outputs of all]."""
        shapes = [self._entry(name).shape for name in names]
        outputs = [shape[0] for shape in shapes]
        target = torch.empty(shapes[0][1], sum(outputs), dtype=self._dtype, device=self._device)
        for name, columns in zip(names, torch.split(target, outputs, dim=1), strict=True):
            self._copy(name, columns.t())
        return target

    def quantized(self, names: list[str]) -> tuple[Tensor, Tensor]:
        """Matrices [outputs, inputs] of equal inputs, one below the other: codes and scales, see `quantize`."""
        shapes = [self._entry(name).shape for name in names]
        outputs, inputs = sum(shape[0] for shape in shapes), shapes[0][1]
        if inputs > MOST_INPUTS:
            raise self.error(names[0], f"has rows of {inputs} numbers, and int8 takes {MOST_INPUTS} at most")
        codes = torch.empty(outputs, inputs, dtype=torch.int8, device=self._device)
        scales = torch.empty(outputs, device=self._device)
        pieces = chain.from_iterable(self.pieces(name, torch.float32) for name in names)
        small = chain.from_iterable(
            torch.split(piece, max(1, _QUANTIZED_AT_ONCE // piece.shape[1])) for piece in pieces
        )
        for rows, piece in _slices(small):
            codes[rows], scales[rows] = quantize(piece)
        return codes, scales

    def pieces(self, name: str, dtype: torch.dtype | None = None) -> Iterator[Tensor]:
        """The rows of a tensor in order, some at a time, as `dtype` or as the file has them; checked to be finite.

        A piece lies in the mapped file or in memory that the next one is written to: it is to be copied before that.
        """
        entry = self._entry(name)
        rows = max(1, _BLOCK_ELEMENTS * entry.shape[0] // math.prod(entry.shape))
        for begin in range(0, entry.shape[0], rows):
            with _mapped(entry.path, name) as source:
                piece = self._convert(source[begin : begin + rows], dtype or source.dtype)
            del source
            low, high = torch.aminmax(piece)
            if not torch.isfinite(low) or not torch.isfinite(high):
                raise CheckpointError(f"{entry.path}: {name} holds values that are not finite")
            yield piece

    def _convert(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        if rows.dtype is dtype or self._device.type != "cpu":
            return rows.to(self._device, dtype)
        # Memory of this size that is given back and taken anew stays with the allocator, up to a fifth of the weights.
        if self._converted.dtype is not dtype or len(self._converted) < rows.numel():
            self._converted = torch.empty(max(_BLOCK_ELEMENTS, rows.numel()), dtype=dtype)
        return self._converted[: rows.numel()].view(rows.shape).copy_(rows)

    def _copy(self, name: str, target: Tensor) -> None:
        # Converted first: a copy that converts and transposes at once takes twice the time.
        for rows, piece in _slices(self.pieces(name, target.dtype)):
            target[rows].copy_(piece)

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise CheckpointError(f"{self._listing}: {name} is missing")
        return self._entries[name]


def _slices(pieces: Iterable[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """Which rows of the whole each piece is."""
    begin = 0
    for piece in pieces:
        yield slice(begin, begin + len(piece)), piece
        begin += len(piece)


def _read_entries(folder: Path) -> tuple[Path, dict[str, Entry]]:
    """The file that lists the tensors, and each of them."""
    single, index = folder / _SINGLE, folder / _INDEX
    if single.exists():
        return single, _read_header(single)
    if not index.exists():
        raise _missing(folder)
    weight_map = read_json(index).section("weight_map").values
    paths = {name: _shard(index, name, file) for name, file in weight_map.items()}
    headers = {path: _read_header(path) for path in dict.fromkeys(paths.values())}
    for name, path in paths.items():
        if name not in headers[path]:
            raise CheckpointError(f"{path}: {name} is missing, which {_INDEX} says is there")
    return index, {name: entry for header in headers.values() for name, entry in header.items()}


def _missing(folder: Path) -> CheckpointError:
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickled:
        problem = "pickled checkpoints are refused: reading one runs the code in it; convert it to safetensors"
        return CheckpointError(f"{folder / pickled[0]}: {problem}")
    return CheckpointError(f"{folder / _SINGLE}: is missing")


def _shard(index: Path, name: str, file: object) -> Path:
    if not isinstance(file, str) or Path(file).name != file:
        raise CheckpointError(f"{index}: weight_map.{name} must be a file name, not {file!r}")
    path = index.parent / file
    if not path.exists():
        raise CheckpointError(f"{path}: is missing")
    return path


def _read_header(path: Path) -> dict[str, Entry]:
    with _opened(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - the file is not a mapping
        return {name: Entry(path, tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}


@contextmanager
def _mapped(path: Path, name: str) -> Iterator[Tensor]:
    with _opened(path) as file:
        yield file.get_tensor(name)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    except RuntimeError as error:  # torch's, when a file cannot be mapped
        if "Cannot allocate memory" not in str(error):
            raise
        raise MemoryError(str(error)) from error
