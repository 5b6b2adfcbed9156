#include "gemm.h"

#include <algorithm>

#include "cpu.h"
#include "gemm_block.h"
#include "gemm_kinds.h"

namespace parley {

using namespace simd;

namespace {

// Rows whose sums are kept while a panel is read: a panel is read from memory once for so many rows.
#ifndef TILE
#define TILE 240
#endif
constexpr std::int64_t tile_rows = TILE;
#ifndef BLOCKKB
#define BLOCKKB 32
#endif
// What is read of a panel before its first row comes again: it stays in the cache nearest to the core.
constexpr std::int64_t block_bytes = BLOCKKB * 1024;

const float* numbers(const Rows& rows, FloatKind) { return rows.values; }
const Code* numbers(const Rows& rows, Int8Kind) { return reinterpret_cast<const Code*>(rows.codes); }
std::int64_t stride(const Rows& rows, FloatKind) { return rows.value_stride; }
std::int64_t stride(const Rows& rows, Int8Kind) { return rows.code_stride / static_cast<std::int64_t>(sizeof(Code)); }

void begin(const Matrix&, std::int64_t, float* sums, std::int64_t rows) { std::fill_n(sums, rows * panel_width, 0.0f); }

void begin(const Matrix& matrix, std::int64_t panel, std::int32_t* sums, std::int64_t rows) {
    const std::int32_t* const corrections = matrix.corrections() + panel * panel_width;
    for (std::int64_t r = 0; r < rows; ++r) std::copy_n(corrections, panel_width, sums + r * panel_width);
}

Floats product(const Matrix&, const Rows&, std::int64_t, std::int64_t, const float* sums) { return load(sums); }

Floats product(const Matrix& matrix, const Rows& rows, std::int64_t row, std::int64_t column, const std::int32_t* sums) {
    return mul(mul(to_floats(load(sums)), broadcast(rows.scales[row])), load(matrix.scales() + column));
}

// The numbers of one row and panel as they are to be written, without what `out` holds.
template <class Sum>
void finish_row(const Matrix& matrix, const Rows& rows, std::int64_t row, std::int64_t column, const Sum* sums, float* to) {
    for (std::int64_t c = 0; c < panel_width; c += lanes) {
        Floats value = product(matrix, rows, row, column + c, sums + c);
        if (matrix.bias() != nullptr) value = add(value, load(matrix.bias() + column + c));
        store(to + c, value);
    }
}

struct Output {
    float* values;
    std::int64_t stride;
    bool add;
};

template <class Sum>
void finish(const Matrix& matrix, const Rows& rows, std::int64_t row, std::int64_t count, std::int64_t panel, const Sum* sums,
            const Output& out) {
    const std::int64_t column = panel * panel_width;
    const std::int64_t width = std::min(panel_width, matrix.outputs() - column);
    for (std::int64_t r = 0; r < count; ++r) {
        float values[panel_width];
        finish_row(matrix, rows, row + r, column, sums + r * panel_width, values);
        float* const to = out.values + (row + r) * out.stride + column;
        if (out.add) for (std::int64_t c = 0; c < width; ++c) to[c] += values[c];
        else std::copy_n(values, width, to);
    }
}

// The sums of `count` rows and one panel, block by block, and in each a few rows at a time. Each few ask for a part of the
// next block, which follows in memory, so that reading goes on while the later ones compute.
template <class Kind>
void add_panel(const std::byte* weights, std::int64_t steps, const typename Kind::Number* rows, std::int64_t stride,
               std::int64_t count, typename Kind::Sum* sums) {
    const std::int64_t parts = (count + block_rows - 1) / block_rows;
    constexpr std::int64_t block_steps = block_bytes / Kind::step_bytes;
    for (std::int64_t done = 0; done < steps; done += block_steps) {
        const std::int64_t size = std::min(block_steps, steps - done);
        const std::byte* const from = weights + done * Kind::step_bytes;
        const std::byte* const ahead = from + size * Kind::step_bytes;
        for (std::int64_t part = 0; part < parts; ++part) {
            const std::int64_t first = count * part / parts;
            const std::int64_t last = count * (part + 1) / parts;
            const std::int64_t pace = Kind::step_bytes / parts;
            add_blocks<Kind>[last - first - 1]({rows + first * stride + done * Kind::step, stride, from, size, sums + first * panel_width,
                                               ahead + part * size * pace, pace});
        }
    }
}

template <class Kind>
void multiply_panels(const Matrix& matrix, const Rows& rows, const Output& out, std::int64_t first, std::int64_t last) {
    const std::int64_t steps = (matrix.inputs() + Kind::step - 1) / Kind::step;
    const std::int64_t distance = stride(rows, Kind{});
    alignas(cache_line) typename Kind::Sum sums[tile_rows * panel_width];
    for (std::int64_t row = 0; row < rows.count; row += tile_rows) {
        const std::int64_t count = std::min(tile_rows, rows.count - row);
        for (std::int64_t panel = first; panel < last; ++panel) {
            begin(matrix, panel, sums, count);
            add_panel<Kind>(matrix.panel(panel), steps, numbers(rows, Kind{}) + row * distance, distance, count, sums);
            finish(matrix, rows, row, count, panel, sums, out);
        }
    }
}

}  // namespace

void multiply(const Matrix& matrix, const Rows& rows, float* out, std::int64_t out_stride, bool add, int thread,
              int threads) noexcept {
    const std::int64_t first = matrix.panels() * thread / threads;
    const std::int64_t last = matrix.panels() * (thread + 1) / threads;
    const Output output{out, out_stride, add};
    switch (matrix.format()) {
        case Format::f32: return multiply_panels<F32Kind>(matrix, rows, output, first, last);
        case Format::bf16: return multiply_panels<Bf16Kind>(matrix, rows, output, first, last);
        case Format::f16: return multiply_panels<F16Kind>(matrix, rows, output, first, last);
        case Format::int8: return multiply_panels<Int8Kind>(matrix, rows, output, first, last);
    }
}

}  // namespace parley
