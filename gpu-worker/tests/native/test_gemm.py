"""Products of rows with packed weights: right to the last bit that is promised, in every library of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from parley_worker.native.library import MAX_INPUTS, Arena, Format, Library, Matrix
from parley_worker.native.processor import Variant, supported
from parley_worker.testing.products import Floats, Products

SIZES = [(1, 1), (5, 3), (64, 32), (67, 100), (256, 64), (1025, 97), (3000, 33)]  # inputs, outputs
COUNTS = [1, 2, 3, 5, 8, 16, 17, 64, 300]
SOURCES = {
    Format.F32: torch.float32,
    Format.BF16: torch.bfloat16,
    Format.F16: torch.float16,
    Format.INT8: torch.float32,
}


@cache
def open_library(variant: Variant) -> Library:
    return Library(variant)


@pytest.fixture(params=supported(), ids=lambda variant: variant.name)
def products(request: pytest.FixtureRequest) -> Iterator[Products]:
    products = Products(open_library(request.param), threads=1)
    yield products
    products.pool.close()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def floats(tensor: Tensor) -> Floats:
    return tensor.float().numpy()


def pack(products: Products, kept: Format, weights: Tensor) -> Matrix:
    matrix = Matrix(products.library, kept, *weights.shape)
    matrix.fill(0, weights)
    return matrix


def unpack(matrix: Matrix) -> Floats:
    return np.stack([matrix.unpack(output) for output in range(matrix.outputs)])


def quantize(values: Floats) -> tuple[Floats, Floats]:
    """The definition: codes, which are whole numbers, and a scale for each row."""
    largest = np.abs(values).max(axis=1, keepdims=True)
    return np.rint(values * (np.float32(127) / largest)), largest / np.float32(127)


@pytest.mark.parametrize("kept", [Format.F32, Format.BF16, Format.F16])
@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_float_products(products: Products, kept: Format, inputs: int, outputs: int) -> None:
    weights, values = random(outputs, inputs).to(SOURCES[kept]), floats(random(19, inputs, seed=1))
    result = products.multiply(pack(products, kept, weights), products.rows(values))
    exact = values.astype(np.float64) @ floats(weights).astype(np.float64).T
    bound = np.abs(values).astype(np.float64) @ np.abs(floats(weights)).T * inputs * 2.0**-24
    assert (np.abs(result - exact) <= bound).all()


@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_int8_products_are_those_of_the_definition(products: Products, inputs: int, outputs: int) -> None:
    weights, values = random(outputs, inputs), floats(random(19, inputs, seed=1))
    result = products.multiply(pack(products, Format.INT8, weights), products.rows(values))
    (codes, scales), (weight_codes, weight_scales) = quantize(values), quantize(floats(weights))
    sums = (codes.astype(np.int64) @ weight_codes.astype(np.int64).T).astype(np.float32)
    assert np.array_equal(result, sums * scales * weight_scales.T)


def test_int8_sums_are_exact_at_their_limits(products: Products) -> None:
    signs = torch.stack([torch.ones(MAX_INPUTS), -torch.ones(MAX_INPUTS), random(MAX_INPUTS).sign()])
    result = products.multiply(pack(products, Format.INT8, signs), products.rows(floats(signs)))
    sums = (signs.long() @ signs.long().T * 127 * 127).float().numpy()
    assert np.array_equal(result, sums * (np.float32(1) / 127) * (np.float32(1) / 127))


def test_longer_rows_are_refused(products: Products) -> None:
    with pytest.raises(MemoryError):
        Matrix(products.library, Format.INT8, 1, MAX_INPUTS + 1)


@pytest.mark.parametrize("kept", Format)
def test_a_row_has_the_same_bits_in_any_company(products: Products, kept: Format) -> None:
    inputs, outputs = 1100, 97
    matrix = pack(products, kept, random(outputs, inputs).to(SOURCES[kept]))
    values = floats(random(max(COUNTS), inputs, seed=1))
    alone = np.concatenate([products.multiply(matrix, products.rows(row[None])) for row in values])
    for count in COUNTS:
        together = products.multiply(matrix, products.rows(values[-count:]))
        assert together.tobytes() == alone[-count:].tobytes()


@pytest.mark.parametrize("kept", Format)
@pytest.mark.parametrize("outputs", [3, 97, 640])
def test_threads_change_no_bit(products: Products, kept: Format, outputs: int) -> None:
    matrix = pack(products, kept, random(outputs, 200).to(SOURCES[kept]))
    rows = products.rows(floats(random(7, 200, seed=1)))
    results = []
    for threads in (1, 2, 3):
        products.pool.resize(threads)
        results.append(products.multiply(matrix, rows).tobytes())
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("kept", Format)
def test_libraries_agree_to_the_bit(kept: Format) -> None:
    """All but the generic one where products of floats are concerned: it may have no fused multiplication."""
    libraries = [variant for variant in supported() if kept == Format.INT8 or variant.name != "generic"]
    results = set()
    for variant in libraries:
        products = Products(open_library(variant), threads=1)
        matrix = pack(products, kept, random(97, 1100).to(SOURCES[kept]))
        matrix.fill_bias(0, random(97, seed=2))
        results.add(products.multiply(matrix, products.rows(floats(random(17, 1100, seed=1)))).tobytes())
    assert len(results) <= 1


@pytest.mark.parametrize("kept", [Format.BF16, Format.F16])
def test_halves_give_the_bits_of_the_float32_that_they_are(products: Products, kept: Format) -> None:
    weights = random(65, 300).to(SOURCES[kept])
    rows = products.rows(floats(random(5, 300, seed=1)))
    halves, whole = (pack(products, kept, weights), pack(products, Format.F32, weights))
    assert products.multiply(halves, rows).tobytes() == products.multiply(whole, rows).tobytes()


@pytest.mark.parametrize("kept", [Format.BF16, Format.F16])
def test_every_half_is_widened_exactly(products: Products, kept: Format) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(SOURCES[kept])
    numbers = every[every.isfinite()].reshape(-1, 256)
    matrix = pack(products, kept, numbers)
    assert unpack(matrix).tobytes() == floats(numbers).tobytes()
    assert np.array_equal(products.multiply(matrix, products.rows(np.eye(256, dtype=np.float32))).T, floats(numbers))


@pytest.mark.parametrize("kept", [Format.F32, Format.INT8])
@pytest.mark.parametrize("source", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_pieces_side_by_side_in_any_order(products: Products, kept: Format, source: torch.dtype) -> None:
    weights = random(100, 67).to(source)
    matrix = Matrix(products.library, kept, 100, 67)
    for first, last in [(70, 100), (0, 33), (33, 70)]:
        matrix.fill(first, weights[first:last])
    assert unpack(matrix).tobytes() == unpack(pack(products, kept, weights.float())).tobytes()


def test_weights_at_an_odd_address(products: Products) -> None:
    weights = random(40, 9)
    shifted = torch.from_numpy(np.concatenate([[0], weights.numpy().view(np.uint8).ravel()]).astype(np.uint8))
    matrix = Matrix(products.library, Format.F32, 40, 9)
    fill = products.library.functions.parley_matrix_fill
    assert fill(matrix.pointer, 0, 40, shifted.data_ptr() + 1, 0) == 0
    assert unpack(matrix).tobytes() == weights.numpy().tobytes()


def test_unpacked_int8_is_code_times_scale(products: Products) -> None:
    weights = random(97, 67)
    codes, scales = quantize(floats(weights))
    assert np.array_equal(unpack(pack(products, Format.INT8, weights)), codes * scales)


@pytest.mark.parametrize("kept", Format)
def test_bias_and_residual(products: Products, kept: Format) -> None:
    weights, bias, before = random(97, 67).to(SOURCES[kept]), random(30, seed=2), floats(random(5, 97, seed=3))
    rows = products.rows(floats(random(5, 67, seed=1)))
    matrix = pack(products, kept, weights)
    plain = products.multiply(matrix, rows)
    matrix.fill_bias(60, bias.bfloat16())
    whole = np.zeros(97, np.float32)
    whole[60:90] = floats(bias.bfloat16())
    assert np.array_equal(products.multiply(matrix, rows), plain + whole)
    assert np.array_equal(products.multiply(matrix, rows, before.copy(), add=True), plain + whole + before)


@pytest.mark.parametrize("kept", Format)
def test_what_lies_beside_the_outputs_is_left_alone(products: Products, kept: Format) -> None:
    out = np.full((5, 120), 7, np.float32)
    matrix = pack(products, kept, random(97, 67).to(SOURCES[kept]))
    products.multiply(matrix, products.rows(floats(random(5, 67))), out)
    assert (out[:, 97:] == 7).all()
    assert not (out[:, :97] == 7).any()


@pytest.mark.parametrize("kept", Format)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_stays_in_its_row(products: Products, kept: Format, number: float) -> None:
    matrix = pack(products, kept, random(97, 67).to(SOURCES[kept]))
    values = floats(random(14, 67, seed=1))
    whole = products.multiply(matrix, products.rows(values))
    values[3, 66] = number
    result = products.multiply(matrix, products.rows(values))
    assert not np.isfinite(result[3]).any()
    others = np.arange(14) != 3
    assert np.array_equal(result[others], whole[others])


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-37, 1e-45])
def test_rows_too_small_to_quantize_are_zero(products: Products, value: float) -> None:
    matrix = pack(products, Format.INT8, torch.cat([random(40, 67), torch.full((1, 67), value)]))
    rows = products.rows(np.full((2, 67), value, np.float32))
    assert (rows.scales == 0).all()
    assert (products.multiply(matrix, rows) == 0).all()
    assert (products.multiply(matrix, products.rows(floats(random(1, 67))))[:, 40] == 0).all()


def test_codes_are_rounded_to_even(products: Products) -> None:
    values = np.array([[127, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5, 126.5, 0.49999997]], np.float32)
    codes = products.multiply(pack(products, Format.INT8, torch.eye(9) * 127), products.rows(values)) / 127
    assert np.array_equal(codes[0], [127, 0, 2, 2, 0, -2, -126, 126, 0])


@pytest.mark.parametrize("kept", Format)
@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_refused(products: Products, kept: Format, number: float) -> None:
    weights = random(40, 9)
    weights[39, 8] = number
    with pytest.raises(ValueError, match="not finite"):
        pack(products, kept, weights.to(SOURCES[kept]))
    with pytest.raises(ValueError, match="not finite"):
        Matrix(products.library, kept, 40, 9).fill_bias(0, weights[39])


def test_weights_beyond_float32_are_refused(products: Products) -> None:
    with pytest.raises(ValueError, match="not finite"):
        pack(products, Format.F32, torch.full((2, 2), 1e39, dtype=torch.float64))


@pytest.mark.parametrize("kept", [Format.BF16, Format.F16])
@pytest.mark.parametrize("source", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_halves_keep_their_own_type_alone(products: Products, kept: Format, source: torch.dtype) -> None:
    if source == SOURCES[kept]:
        assert pack(products, kept, random(3, 3).to(source)).outputs == 3
        return
    with pytest.raises(ValueError, match="another type"):
        pack(products, kept, random(3, 3).to(source))


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (39, 2), (0, 41), (0, -1), (2**62, 2**62)])
def test_rows_outside_the_matrix_are_refused(products: Products, first: int, count: int) -> None:
    matrix = Matrix(products.library, Format.F32, 40, 9)
    functions, weights = products.library.functions, random(41, 9)
    assert functions.parley_matrix_fill(matrix.pointer, first, count, weights.data_ptr(), 0) == 3
    assert functions.parley_matrix_fill_bias(matrix.pointer, first, count, weights.data_ptr(), 0) == 3


@pytest.mark.parametrize(("outputs", "inputs"), [(0, 5), (5, 0), (-1, 5), (5, -1), (2**40, 5), (2**62, 2**17)])
def test_matrices_of_no_size_are_refused(products: Products, outputs: int, inputs: int) -> None:
    arena = Arena(products.library)
    assert not products.library.functions.parley_matrix_create(arena.pointer, Format.F32, outputs, inputs)


def test_what_is_no_format_is_refused(products: Products) -> None:
    assert not products.library.functions.parley_matrix_create(Arena(products.library).pointer, 4, 5, 5)
