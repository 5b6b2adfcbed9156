"""Each operation against torch, in every variant of the library."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from numpy.typing import NDArray
from torch import Tensor

from parley_worker.native.library import Cache, Library
from parley_worker.testing.operations import Operations

SIZES = (2, 8, 16, 20, 31, 48, 64, 300, 1024)


@pytest.fixture
def operations(library: Library) -> Operations:
    return Operations(library)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_norm(operations: Operations, size: int, epsilon: float) -> None:
    row, weight = numbers(size), numbers(size, seed=1)
    expected = F.rms_norm(row, (size,), weight, epsilon)
    torch.testing.assert_close(operations.normalize(row, weight, epsilon), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("size", [2, 8, 20, 64, 128])
def test_rotation(operations: Operations, size: int) -> None:
    head, angles = numbers(size), numbers(size // 2, seed=1) * 10
    cos, sin = torch.cat((angles.cos(), angles.cos())), torch.cat((-angles.sin(), angles.sin()))
    expected = head * cos + head.roll(size // 2) * sin
    torch.testing.assert_close(operations.rotate(head, cos, sin), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("size", SIZES)
def test_activation(operations: Operations, size: int) -> None:
    gate, up = numbers(size) * 10, numbers(size, seed=1)
    torch.testing.assert_close(operations.activate(gate, up), F.silu(gate) * up, rtol=1e-6, atol=1e-37)


def test_activation_at_the_ends(operations: Operations) -> None:
    gate = torch.tensor([0.0, 1e30, 100.0, -90.0, -100.0, -1e30, 1e-40])
    found = operations.activate(gate, torch.ones(7))
    torch.testing.assert_close(found, F.silu(gate), rtol=1e-6, atol=1e-30)
    for bad in (torch.nan, torch.inf):
        assert not torch.isfinite(operations.activate(torch.tensor([bad]), torch.ones(1))).any()


def test_exponential_within_two_units_in_the_last_place(operations: Operations) -> None:
    values = torch.cat((torch.linspace(-86, 88.3, 400_000), numbers(100_000) * 1e-3))
    exact = values.double().exp()
    found = operations.exp(values).double()
    assert ((found - exact).abs() / exact).max() < 2 * 2**-24
    ends = operations.exp(torch.tensor([0.0, -torch.inf, -87.0, -1e30, torch.nan, 1.0, 100.0, torch.inf]))
    assert ends[:4].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert ends[4].isnan()
    assert ends[6:].tolist() == [torch.inf, torch.inf]
    every_bit = torch.full((1,), -1, dtype=torch.int32).view(torch.float32)  # as a poisoned cache holds it
    assert operations.exp(every_bit).isnan()


@pytest.mark.parametrize(("rough", "bound"), [(False, 4 * 2**-24), (True, 3e-6)])
def test_weights_of_scores(operations: Operations, rough: bool, bound: float) -> None:
    scores = -torch.cat((torch.linspace(0, 125.9, 400_000), numbers(100_000).abs() * 1e-3))
    exact = scores.double().exp2()
    found = operations.exp2(scores, rough=rough).double()
    assert ((found - exact).abs() / exact).max() < bound
    ends = operations.exp2(torch.tensor([0.0, -1.0, -torch.inf, -150.0, -1e30, torch.nan]), rough=rough)
    assert ends[:5].tolist() == [1.0, 0.5, 0.0, 0.0, 0.0]
    assert ends[5].isnan()


def test_bfloat16_rounds_to_nearest_even(operations: Operations) -> None:
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).float()
    bits = torch.randint(-(1 << 31), 1 << 31, (200_000,), generator=torch.Generator().manual_seed(3))
    anything = bits.to(torch.int32).view(torch.float32)
    between = torch.cat([every[1:] / 2 + every[:-1] / 2, numbers(100_000) * 1e-5, numbers(100_000) * 60_000])
    for values in (every, anything, between):
        found, expected = operations.bfloat16(values), values.bfloat16().float()
        tiny = values.abs() < 2**-126  # subnormal numbers may become zeros
        torch.testing.assert_close(found[~tiny], expected[~tiny], rtol=0, atol=0, equal_nan=True)
        assert (found[tiny].abs() <= 2**-126).all()


LOG2E = 1 / math.log(2)

SHAPES = [  # head_dim, heads that share keys, rows, tokens before them, reach
    (64, 1, 1, 0, 0),
    (64, 3, 1, 40, 0),
    (20, 4, 1, 15, 0),
    (2, 1, 3, 30, 0),
    (8, 7, 5, 16, 0),
    (16, 2, 33, 70, 0),
    (128, 8, 4, 100, 0),
    (64, 2, 16, 100, 9),
    (12, 3, 40, 5, 16),
    (64, 40, 1, 100, 33),
    (96, 1, 32, 0, 1),
    (64, 3, 10, 125, 0),
    (64, 3, 10, 250, 0),  # from here on over the borders of chunks of 256 positions
    (64, 7, 2, 255, 0),
    (36, 1, 3, 767, 0),
    (80, 2, 20, 250, 130),
    (64, 5, 5, 300, 3),
]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_attention(operations: Operations, library: Library, shape: tuple[int, ...], bf16: bool) -> None:
    head_dim, group, rows, before, reach = shape
    length = before + rows
    keys, values = numbers(2, length, head_dim, seed=1), numbers(2, length, head_dim, seed=2)
    queries = numbers(rows, 2, group, head_dim) / head_dim**0.5
    cache, blocks = spread(library, keys, values, bf16=bf16)
    found = operations.attend(cache, 1, 1, queries, np.arange(before, length), blocks, reach)
    exact = queries
    if bf16:
        keys, values = keys.bfloat16().float(), values.bfloat16().float()
        exact = (queries * LOG2E).bfloat16().float() / LOG2E
    expected = attend(exact, keys, values, before, reach)
    # In bfloat16 each weight is off by at most so much of itself.
    bound = 2**-8 * attend(exact, keys, values.abs(), before, reach) if bf16 else torch.zeros(())
    assert ((found - expected).abs() <= bound + 1e-5).all()
    for row, head, query in itertools.product(range(rows), range(2), range(group)):
        one = queries[row, head, query][None, None, None]
        alone = operations.attend(cache, 1, 1 + head, one, np.array([before + row]), blocks, reach)
        assert torch.equal(alone[0, 0, 0], found[row, head, query])


def attend(queries: Tensor, keys: Tensor, values: Tensor, before: int, reach: int) -> Tensor:
    """As torch does it: the rows [rows, heads, group, head_dim] follow on `before` others."""
    rows, length = len(queries), keys.shape[1]
    back = torch.arange(before, before + rows).unsqueeze(1) - torch.arange(length)
    seen = (back >= 0) & (back < (reach or length))
    found = F.scaled_dot_product_attention(
        queries.permute(1, 2, 0, 3), keys.unsqueeze(1), values.unsqueeze(1), seen, scale=1.0
    )
    return found.permute(2, 0, 1, 3)


def spread(library: Library, keys: Tensor, values: Tensor, *, bf16: bool) -> tuple[Cache, NDArray[np.int32]]:
    """Keys and values [heads, tokens, head_dim] in the second layer of a cache, from its second head on. The blocks are
    in any order, and NaN otherwise."""
    heads, length, head_dim = keys.shape
    count = -(-length // 16)
    cache = Cache(library, 2, count + 3, heads + 2, head_dim, bf16=bf16)
    for block in range(count + 3):
        cache.fill(block, 0xFF)
    blocks = np.random.default_rng(0).permutation(count + 3)[:count].astype(np.int32)
    for head, position in itertools.product(range(heads), range(length)):
        block, slot = int(blocks[position // 16]), position % 16
        cache.put(1, block, 1 + head, slot, keys[head, position], values[head, position])
    return cache, blocks


@pytest.mark.parametrize("place", ["key", "value"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_attention_to_what_is_not_finite_is_not_finite(
    operations: Operations, library: Library, place: str, bad: float
) -> None:
    """And the rows before it have the bits that they have without it."""
    keys, values, queries = (numbers(20, 8, seed=seed) for seed in range(3))
    healthy = operations.attend(*_all_rows(library, keys, values, queries))
    (keys if place == "key" else values)[10, 3] = bad
    found = operations.attend(*_all_rows(library, keys, values, queries))
    assert torch.equal(found[:10], healthy[:10])
    assert not torch.isfinite(found[10:]).all(dim=-1).any()


def _all_rows(
    library: Library, keys: Tensor, values: Tensor, queries: Tensor
) -> tuple[Cache, int, int, Tensor, NDArray[np.int64], NDArray[np.int32], int]:
    cache, blocks = spread(library, keys.unsqueeze(0), values.unsqueeze(0), bf16=False)
    return cache, 1, 1, queries.abs()[:, None, None], np.arange(20), blocks, 0
