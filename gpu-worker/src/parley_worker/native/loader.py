"""A checkpoint folder becomes packed weights: read piece by piece, and never held twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from parley_worker.models.config import ModelConfig, read_model_config
from parley_worker.models.loader import check_tensors
from parley_worker.models.tensors import EMBEDDING, NORM, layer_name
from parley_worker.models.weights import Weights
from parley_worker.native.errors import NativeUnavailable
from parley_worker.native.library import MAX_INPUTS, Arena, Format, Library, Matrix

_HALF = {torch.bfloat16: Format.BF16, torch.float16: Format.F16}


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """The weights of a layer; the norms are float32. query_norm and key_norm are None in a model without them."""

    attention_norm: Tensor
    mlp_norm: Tensor
    query_norm: Tensor | None
    key_norm: Tensor | None
    qkv: Matrix
    output: Matrix
    gate_up: Matrix
    down: Matrix


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """The weights of a model. `embedding` and `head` are one matrix where they are tied."""

    embedding: Matrix
    layers: tuple[PackedLayer, ...]
    norm: Tensor
    head: Matrix

    @property
    def bytes(self) -> int:
        """Of all matrices."""
        matrices = {id(matrix): matrix for matrix in (self.embedding, self.head)}
        for layer in self.layers:
            matrices |= {id(matrix): matrix for matrix in (layer.qkv, layer.output, layer.gate_up, layer.down)}
        return sum(matrix.bytes for matrix in matrices.values())


def load_packed(library: Library, folder: Path, *, int8: bool) -> tuple[ModelConfig, PackedWeights]:
    """Read the model in `folder`. Raises CheckpointError, naming the file and the key, if it cannot be served.

    NativeUnavailable: it has longer rows than the library multiplies.

    int8 quantizes every matrix that rows are multiplied with; an embedding that is not the head stays as it is. Without
    it, weights of 16 bits stay so, as every one of them is a float32 too.
    """
    config = read_model_config(folder)
    widest = max(config.hidden_size, config.intermediate_size, config.heads * config.head_dim)
    if widest > MAX_INPUTS:
        raise NativeUnavailable(f"the model has rows of {widest} numbers, and it multiplies {MAX_INPUTS} at most")
    weights = Weights(folder, torch.float32, torch.device("cpu"))
    return config, _Packer(library, config, weights, int8).pack()


class _Packer:
    def __init__(self, library: Library, config: ModelConfig, weights: Weights, int8: bool) -> None:
        self._library, self._config, self._weights, self._int8 = library, config, weights, int8
        self._arena = Arena(library)

    def pack(self) -> PackedWeights:
        ends = check_tensors(self._config, self._weights)
        layers = tuple(map(self._layer, range(self._config.layers)))
        head = self._matrix(ends[-1:], int8=self._int8)
        embedding = head if len(ends) == 1 else self._matrix([EMBEDDING], int8=False)
        return PackedWeights(embedding, layers, self._weights.read(NORM), head)

    def _layer(self, index: int) -> PackedLayer:
        def read(part: str) -> Tensor:
            return self._weights.read(layer_name(index, part))

        def linear(*parts: str, bias: bool) -> Matrix:
            names = [layer_name(index, part) for part in parts]
            matrix = self._matrix([f"{name}.weight" for name in names], int8=self._int8)
            if bias:
                matrix.fill_bias(0, torch.cat([self._weights.read(f"{name}.bias") for name in names]))
            return matrix

        config = self._config
        return PackedLayer(
            attention_norm=read("input_layernorm.weight"),
            mlp_norm=read("post_attention_layernorm.weight"),
            query_norm=read("self_attn.q_norm.weight") if config.qk_norm else None,
            key_norm=read("self_attn.k_norm.weight") if config.qk_norm else None,
            qkv=linear("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", bias=config.qkv_bias),
            output=linear("self_attn.o_proj", bias=config.output_bias),
            gate_up=linear("mlp.gate_proj", "mlp.up_proj", bias=config.mlp_bias),
            down=linear("mlp.down_proj", bias=config.mlp_bias),
        )

    def _matrix(self, names: list[str], *, int8: bool) -> Matrix:
        """Matrices of equal inputs, side by side as one."""
        outputs, inputs = sum(self._weights.shape(name)[0] for name in names), self._weights.shape(names[0])[1]
        dtypes = {self._weights.dtype(name) for name in names}
        kept = _HALF.get(dtypes.pop(), Format.F32) if len(dtypes) == 1 else Format.F32
        matrix = Matrix(self._library, Format.INT8 if int8 else kept, outputs, inputs, self._arena)
        first = 0
        for name in names:
            # As float32 a float64 may be infinite: it is to be checked as what it is packed from.
            wide = self._weights.dtype(name) is torch.float64
            for piece in self._weights.pieces(name, torch.float32 if wide else None):
                matrix.fill(first, piece)
                first += len(piece)
        return matrix
