"""Operations on rows, against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name

from parley_worker.cuda import ops

EPS = 1e-5


@pytest.mark.parametrize("transposed", [False, True])
def test_embed_takes_ids_and_draws(transposed: bool) -> None:
    embedding = torch.randn(1100, 50).t() if transposed else torch.randn(50, 1100)
    tokens = torch.tensor([3, -1, 49, -3, 0], dtype=torch.int32)
    drawn = torch.tensor([7, 8, 9])
    assert torch.equal(ops.embed(tokens, drawn, embedding, torch.float32), embedding[[3, 7, 49, 9, 0]])


@pytest.mark.parametrize("width", [48, 64, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalize(width: int, dtype: torch.dtype) -> None:
    rows, added = torch.randn(3, width).to(dtype), torch.randn(3, width).to(dtype)
    weight = torch.rand(width).to(dtype)
    tolerance = 1e-6 if dtype is torch.float32 else 2e-2
    expected = F.rms_norm(rows.float(), (width,), weight.float(), EPS).to(dtype)
    torch.testing.assert_close(ops.normalize(rows, None, weight, EPS), expected, atol=tolerance, rtol=tolerance)
    total = rows + added
    expected = F.rms_norm(total.float(), (width,), weight.float(), EPS).to(dtype)
    torch.testing.assert_close(ops.normalize(rows, added, weight, EPS), expected, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(rows, total, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("width", [80, 1500])
def test_gate(width: int) -> None:
    gate_up = torch.randn(3, 2 * width)
    gate, up = gate_up.chunk(2, dim=-1)
    torch.testing.assert_close(ops.gate(gate_up), F.silu(gate) * up, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("head_dim", [12, 80])
def test_place(head_dim: int, norm: bool, turned: bool) -> None:
    qkv = torch.randn(3, 8, head_dim)
    weight = torch.rand(6, head_dim) if norm else None
    turns = (torch.randn(3, head_dim), torch.randn(3, head_dim)) if turned else None
    keys, values = (torch.full((3, 16, 2, head_dim), torch.nan) for _ in range(2))
    heads, value = qkv[:, :6], qkv[:, 6:]
    if weight is not None:
        heads = F.rms_norm(heads, (head_dim,), None, EPS) * weight
    if turns is not None:
        cos, sin = (part.unsqueeze(1) for part in turns)
        heads = heads * cos + heads.roll(head_dim // 2, -1) * sin
    slots = torch.tensor([33, -1, 15], dtype=torch.int32)
    query = ops.place(qkv.flatten(1), weight, turns, slots, keys, values, 4, EPS)
    torch.testing.assert_close(query, heads[:, :4], atol=1e-6, rtol=1e-6)
    for held, new in ((keys, heads[:, 4:]), (values, value)):
        torch.testing.assert_close(held[[2, 0], [1, 15]], new[[0, 2]], atol=1e-6, rtol=1e-6)
        assert held.isnan().flatten(2).all(-1).sum() == 3 * 16 - 2, "padding was kept"
