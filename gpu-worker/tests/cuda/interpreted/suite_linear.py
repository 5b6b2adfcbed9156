"""Products with 8-bit weights."""

from __future__ import annotations

import pytest
import torch

from parley_worker.cuda import ops


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
