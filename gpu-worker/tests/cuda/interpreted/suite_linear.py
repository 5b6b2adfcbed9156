"""Products with 8-bit weights."""

from __future__ import annotations

import pytest
import torch

from parley_worker.cuda import ops
from parley_worker.cuda.narrow import NarrowLinear
from parley_worker.models.decoder import Linear


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 48, 40), (3, 300, 33), (17, 256, 16), (70, 64, 20)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("narrow", [torch.int8, torch.float8_e4m3fn])
def test_multiply(rows: int, inputs: int, outputs: int, bias: bool, narrow: torch.dtype) -> None:
    torch.manual_seed(inputs)
    weight = (torch.randn(outputs, inputs) * 40).clamp(-127, 127).to(narrow)
    scales, x = torch.rand(outputs) / 40, torch.randn(rows, inputs)
    offset = torch.randn(outputs) if bias else None
    expected = (x.double() @ weight.double().t() * scales + (0 if offset is None else offset)).float()
    torch.testing.assert_close(ops.multiply(x, weight, scales, offset), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rows", [2, 65])
@pytest.mark.parametrize(("kind", "error"), [(torch.int8, 0.01), (torch.float8_e4m3fn, 0.04)])
def test_few_rows_and_many_take_two_ways_to_one_result(rows: int, kind: torch.dtype, error: float) -> None:
    torch.manual_seed(rows)
    plain = Linear(torch.randn(48, 40), torch.randn(40))
    x, narrow = torch.randn(rows, 48), NarrowLinear.of(plain, kind)
    torch.testing.assert_close(narrow(x), narrow.widened()(x), atol=1e-4, rtol=1e-4)
    assert (narrow(x) - plain(x)).norm() / plain(x).norm() < error


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn])
def test_a_channel_of_zeros_stays_zero(kind: torch.dtype) -> None:
    weight = torch.randn(16, 3)
    weight[:, 1] = 0
    narrow = NarrowLinear.of(Linear(weight, None), kind)
    assert torch.equal(narrow(torch.randn(2, 16))[:, 1], torch.zeros(2))
    # The interpreter takes a NaN of e4m3 for a number.
    assert torch.equal(narrow.widened().weight[:, 1], torch.zeros(16))
