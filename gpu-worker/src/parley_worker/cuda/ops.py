"""Launches the kernels that work on rows. On a CPU tensor they run in Triton's interpreter, if that is switched on."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from parley_worker.cuda.kernels.heads import place_heads
from parley_worker.cuda.kernels.linear import multiply_narrow
from parley_worker.cuda.kernels.rows import add_normalize, embed_tokens, gate_rows

_LANES = 1024
_HEADS = 8


def product_type(rows: Tensor) -> Any:
    """What a kernel multiplies rows of this type as. The interpreter takes bfloat16 for whole numbers in a product."""
    if rows.dtype is torch.float32 or not rows.is_cuda:
        return tl.float32
    return tl.bfloat16 if rows.dtype is torch.bfloat16 else tl.float16


def embed(tokens: Tensor, drawn: Tensor, embedding: Tensor, dtype: torch.dtype) -> Tensor:
    """The rows [n, hidden_size] of tokens [n], in `dtype`; a token -1 - d is drawn[d]."""
    width = embedding.shape[1]
    rows = embedding.new_empty(len(tokens), width, dtype=dtype)
    block = min(_LANES, triton.next_power_of_2(width))
    embed_tokens[(len(tokens), triton.cdiv(width, block))](
        tokens, drawn, embedding, rows, *embedding.stride(), WIDTH=width, BLOCK=block
    )
    return rows


def normalize(rows: Tensor, added: Tensor | None, weight: Tensor, eps: float) -> Tensor:
    """rows += added, and the RMS norm of the sum."""
    count, width = rows.shape
    output = torch.empty_like(rows)
    block = triton.next_power_of_2(width)
    add_normalize[(count,)](
        rows,
        rows if added is None else added,
        weight,
        output,
        eps,
        ADD=added is not None,
        WIDTH=width,
        BLOCK=block,
        num_warps=8 if block >= 4 * _LANES else 4,
    )
    return output


def gate(gate_up: Tensor) -> Tensor:
    """silu(gate) * up of gate_up [n, 2 * width]."""
    count, width = gate_up.shape[0], gate_up.shape[1] // 2
    output = gate_up.new_empty(count, width)
    block = min(_LANES, triton.next_power_of_2(width))
    gate_rows[(count, triton.cdiv(width, block))](gate_up, output, WIDTH=width, BLOCK=block)
    return output


def place(
    qkv: Tensor,
    norm: Tensor | None,
    turns: tuple[Tensor, Tensor] | None,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    eps: float,
) -> Tensor:
    """Queries [n, heads, head_dim], normalized and turned, of qkv [n, (heads + 2 * kv_heads) * head_dim].

    Keys and values go into keys and values [blocks, BLOCK_SIZE, kv_heads, head_dim] at slots [n], -1 being nowhere.
    norm: as Layer.qk_norm. turns: cosines and signed sines [n, head_dim], float32.
    """
    page, kv_heads, head_dim = keys.shape[1:]
    query = qkv.new_empty(len(qkv), heads, head_dim)
    cos, sin = turns or (qkv, qkv)
    count = heads + 2 * kv_heads
    block = min(_HEADS, triton.next_power_of_2(count))
    place_heads[(len(qkv), triton.cdiv(count, block))](
        qkv,
        qkv if norm is None else norm,
        cos,
        sin,
        slots,
        query,
        keys,
        values,
        eps,
        *keys.stride()[:3],
        HEADS=heads,
        KV_HEADS=kv_heads,
        BLOCK_H=block,
        HEAD_DIM=head_dim,
        BLOCK_D=triton.next_power_of_2(head_dim),
        PAGE=page,
        NORM=norm is not None,
        ROTATE=turns is not None,
        num_warps=4,
    )
    return query


def multiply(rows: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    """rows [n, inputs] @ weight [outputs, inputs].T * scales [outputs] + bias, the weight in 8 bits."""
    count, inputs = rows.shape
    outputs = len(weight)
    output = rows.new_empty(count, outputs)
    block_m = max(16, min(64, triton.next_power_of_2(count)))
    # Few outputs are cut into narrow strips, so that all multiprocessors have a part of the weight to read.
    block_n = 16 if outputs < 8192 else 64
    multiply_narrow[(triton.cdiv(outputs, block_n), triton.cdiv(count, block_m))](
        rows,
        weight,
        scales,
        rows if bias is None else bias,
        output,
        count,
        outputs,
        BIAS=bias is not None,
        INPUTS=inputs,
        BLOCK_M=block_m,
        BLOCK_N=block_n,
        BLOCK_K=256 if block_n == 16 else 128,
        PRODUCT=product_type(rows),
        num_warps=4,
        num_stages=4,
    )
    return output
