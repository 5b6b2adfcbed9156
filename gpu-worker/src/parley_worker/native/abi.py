"""The C interface of the library, as csrc/exports.cpp and csrc/gemm_abi.cpp define it."""

from __future__ import annotations

import ctypes
import struct
from ctypes import POINTER, c_char_p, c_double, c_int64, c_void_p
from pathlib import Path
from typing import Any


class DecoderShape(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in ("vocab_size", "hidden_size", "intermediate_size", "layers")),
        *((name, c_int64) for name in ("heads", "kv_heads", "head_dim")),
        ("epsilon", c_double),
    ]


class LayerWeights(ctypes.Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("attention_norm", "mlp_norm", "query_norm", "key_norm")),
        *((name, c_void_p) for name in ("qkv", "output", "gate_up", "down")),
        *((name, c_int64) for name in ("reach", "rotates")),
    ]


class DecoderWeights(ctypes.Structure):
    _fields_ = [*((name, c_void_p) for name in ("embedding", "head", "norm")), ("layers", POINTER(LayerWeights))]


class Tables(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in ("tables", "stride", "angles")),
        *((name, c_void_p) for name in ("blocks", "cos", "sin")),
    ]


class Rounds(ctypes.Structure):
    """Rounds of csrc/model.h."""

    _fields_ = [
        *(("most", c_int64), ("seconds", c_double), ("commands", c_int64)),
        *(("stop_count", c_int64), ("stops", c_void_p)),
    ]


DRAW = struct.Struct("@dq3d3d3q")
"""Draw of csrc/sampler.h: temperature, top_k, top_p, min_p, uniform, and its Penalties."""


class AttentionTask(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in ("layer", "head", "heads", "group", "rows", "reach")),
        *(("queries", c_void_p), ("query_stride", c_int64), ("positions", c_void_p), ("blocks", c_void_p)),
        *(("outputs", c_void_p), ("output_stride", c_int64)),
    ]


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # The result first, then the arguments.
    "parley_pool_create": (c_void_p, c_int64),
    "parley_pool_delete": (None, c_void_p),
    "parley_pool_resize": (c_int64, c_void_p, c_int64),
    "parley_arena_create": (c_void_p,),
    "parley_arena_delete": (None, c_void_p),
    "parley_matrix_create": (c_void_p, c_void_p, c_int64, c_int64, c_int64),
    "parley_matrix_delete": (None, c_void_p),
    "parley_matrix_bytes": (c_int64, c_void_p),
    "parley_matrix_fill": (c_int64, c_void_p, c_int64, c_int64, c_void_p, c_int64),
    "parley_matrix_fill_bias": (c_int64, c_void_p, c_int64, c_int64, c_void_p, c_int64),
    "parley_matrix_unpack": (c_int64, c_void_p, c_int64, c_void_p),
    "parley_cache_new": (c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64),
    "parley_cache_free": (None, c_void_p),
    "parley_cache_block_bytes": (c_int64, c_int64, c_int64, c_int64, c_int64),
    "parley_cache_fill": (None, c_void_p, c_int64, c_int64),
    "parley_cache_put": (None, c_void_p, c_int64, c_int64, c_int64, c_int64, c_void_p, c_void_p),
    "parley_decoder_new": (c_void_p, POINTER(DecoderShape), POINTER(DecoderWeights), c_void_p, c_void_p),
    "parley_decoder_free": (None, c_void_p),
    "parley_decoder_execute": (c_int64, c_void_p, c_void_p, POINTER(Tables), c_void_p, c_char_p, c_int64),
    "parley_decoder_generate": (
        *(c_int64, c_void_p, c_void_p, POINTER(Tables), c_void_p, c_void_p, c_char_p),
        *(POINTER(Rounds), c_void_p, POINTER(c_int64), c_char_p, c_int64),
    ),
    "parley_sampler_new": (c_void_p, c_int64),
    "parley_sampler_free": (None, c_void_p),
    "parley_sampler_draw": (c_int64, c_void_p, c_void_p, c_void_p, c_int64, c_char_p, c_void_p, c_char_p, c_int64),
    "parley_normalize": (None, c_void_p, c_void_p, c_int64, c_double, c_void_p),
    "parley_rotate": (None, c_void_p, c_void_p, c_void_p, c_int64),
    "parley_activate": (None, c_void_p, c_void_p, c_int64),
    "parley_attend": (c_int64, c_void_p, POINTER(AttentionTask)),
    "parley_exp": (None, c_void_p, c_int64),
    "parley_exp2": (None, c_void_p, c_int64, c_int64),
    "parley_round": (None, c_void_p, c_int64),
}


def open_library(path: Path) -> ctypes.CDLL:
    """The library with its functions declared. Calls release the GIL. Raises OSError."""
    library = ctypes.CDLL(str(path))
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
