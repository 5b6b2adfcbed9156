"""Operations on rows on the device, against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name

from parley_worker.cuda import ops
from parley_worker.cuda.narrow import NarrowLinear
from parley_worker.models.decoder import Linear


@pytest.mark.parametrize("width", [1024, 1536, 4096])
def test_normalize(width: int) -> None:
    rows, added = (torch.randn(9, width, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    weight, total = torch.rand(width, device="cuda", dtype=torch.bfloat16), rows + added
    expected = F.rms_norm(total.float(), (width,), weight.float(), 1e-6).bfloat16()
    torch.testing.assert_close(ops.normalize(rows, added, weight, 1e-6), expected, atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(rows, total, atol=2e-2, rtol=2e-2)


def test_gate() -> None:
    gate_up = torch.randn(9, 6144, device="cuda", dtype=torch.bfloat16)
    gate, up = gate_up.float().chunk(2, dim=-1)
    torch.testing.assert_close(ops.gate(gate_up), (F.silu(gate) * up).bfloat16(), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("rows", [1, 8, 33, 64, 65])
@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn])
@pytest.mark.parametrize(("inputs", "outputs"), [(1024, 4096), (3072, 1024), (1000, 9000)])
def test_narrow_weights(rows: int, kind: torch.dtype, inputs: int, outputs: int) -> None:
    weight = torch.randn(inputs, outputs, device="cuda") * inputs**-0.5
    narrow = NarrowLinear.of(Linear(weight, None), kind)
    x = torch.randn(rows, inputs, device="cuda", dtype=torch.bfloat16)
    expected = (x.double() @ narrow.widened().weight.double()).float()
    torch.testing.assert_close(narrow(x).float(), expected, atol=3e-2, rtol=3e-2)
