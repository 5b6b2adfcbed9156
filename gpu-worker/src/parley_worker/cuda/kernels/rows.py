"""Operations on whole rows: embedding, residual with norm, the gate of the MLP."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def embed_tokens(tokens, drawn, embedding, output, row_stride, lane_stride, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """output[row] = embedding[token]; a token -1 - d is the one in drawn[d], which the host does not know yet.

    The embedding of a tied model is the head seen the other way round: hence its strides.
    """
    row = tl.program_id(0).to(tl.int64)
    token = tl.load(tokens + row).to(tl.int64)
    late = tl.load(drawn + (-1 - token), mask=token < 0, other=0)
    token = tl.where(token < 0, late, token)
    lanes = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = lanes < WIDTH
    held = tl.load(embedding + token * row_stride + lanes.to(tl.int64) * lane_stride, mask=inside)
    tl.store(output + row * WIDTH + lanes, held.to(output.dtype.element_ty), mask=inside)


@triton.jit
def add_normalize(rows, added, weight, output, eps, ADD: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """rows += added if ADD, and output = the RMS norm of rows, in float32; each [n, WIDTH], a row a program."""
    start = tl.program_id(0).to(tl.int64) * WIDTH
    lanes = tl.arange(0, BLOCK)
    inside = lanes < WIDTH
    x = tl.load(rows + start + lanes, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        x += tl.load(added + start + lanes, mask=inside, other=0.0).to(tl.float32)
        x = x.to(rows.dtype.element_ty)
        tl.store(rows + start + lanes, x, mask=inside)
        x = x.to(tl.float32)  # the norm is of what is kept
    inverse = tl.rsqrt(tl.sum(x * x) / WIDTH + eps)
    result = x * inverse * tl.load(weight + lanes, mask=inside, other=0.0).to(tl.float32)
    tl.store(output + start + lanes, result.to(output.dtype.element_ty), mask=inside)


@triton.jit
def gate_rows(gate_up, output, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """output [n, WIDTH] = silu(gate) * up, of gate_up [n, 2 * WIDTH]."""
    row = tl.program_id(0).to(tl.int64)
    lanes = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = lanes < WIDTH
    gate = tl.load(gate_up + row * 2 * WIDTH + lanes, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + (row * 2 + 1) * WIDTH + lanes, mask=inside, other=0.0).to(tl.float32)
    tl.store(output + row * WIDTH + lanes, (gate * tl.sigmoid(gate) * up).to(output.dtype.element_ty), mask=inside)
