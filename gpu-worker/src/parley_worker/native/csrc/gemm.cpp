#include "gemm.h"

#include <algorithm>

#include "cpu.h"
#include "gemm_block.h"
#include "gemm_kinds.h"

namespace parley {

namespace {

using namespace simd;

// Rows whose sums are kept while a panel is read: weights come from memory once for so many rows.
constexpr int64_t kTileRows = 240;
// What is read of a panel before the first rows come again: it stays in the cache nearest to the core.
constexpr int64_t kBlockBytes = 32 << 10;

void begin(const Matrix&, int64_t, float* sums, int64_t rows) { std::fill_n(sums, rows * kPanel, 0.0f); }

void begin(const Matrix& matrix, int64_t column, int32_t* sums, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) std::copy_n(matrix.corrections() + column, kPanel, sums + r * kPanel);
}

Floats product(const Matrix&, const Rows&, int64_t, int64_t, const float* sums) { return load(sums); }

Floats product(const Matrix& matrix, const Rows& rows, int64_t row, int64_t column, const int32_t* sums) {
    return to_floats(load(sums)) * broadcast(rows.scales[row]) * load(matrix.scales() + column);
}

// Makes the sums of a row and a panel the numbers that are wanted, in `to`.
template <class Sum>
void put_panel(const Matrix& matrix, const Rows& rows, int64_t row, int64_t column, const Sum* sums, bool add,
               float* to) {
    for (int64_t c = 0; c < kPanel; c += kLanes) {
        Floats value = product(matrix, rows, row, column + c, sums + c);
        if (matrix.bias() != nullptr) value = value + load(matrix.bias() + column + c);
        if (add) value = value + load(to + c);
        store(to + c, value);
    }
}

// The last panel may be wider than what there is room for.
template <class Sum>
void finish(const Matrix& matrix, const Rows& rows, int64_t row, int64_t column, const Sum* sums, const Output& out) {
    const int64_t width = matrix.outputs() - column;
    float* const to = out.values + row * out.stride + column;
    if (width >= kPanel) return put_panel(matrix, rows, row, column, sums, out.add, to);
    float values[kPanel] = {};
    std::copy_n(to, out.add ? width : 0, values);
    put_panel(matrix, rows, row, column, sums, out.add, values);
    std::copy_n(values, width, to);
}

// With little to compute for each cache line the processor itself reads ahead as fast as memory gives, and asking it
// to costs up to a third of the speed; with more it falls behind. Measured on Zen 4: from 6 operations on asking is
// better.
template <class Kind>
constexpr bool asks_ahead(int64_t rows) {
    return rows * 2 * kCacheLine >= 6 * Kind::kStepBytes;
}

// Adds up one panel for `count` rows: block by block, and in each a few rows at a time. Each few ask for a part of the
// next block, which follows in memory, so that reading goes on while they compute.
template <class Kind>
void add_panel(const std::byte* weights, int64_t steps, const typename Kind::Number* rows, int64_t stride,
               int64_t count, typename Kind::Sum* sums) {
    constexpr int64_t block_steps = kBlockBytes / Kind::kStepBytes;
    const int64_t parts = divide_up(count, kBlockRows);
    const int64_t pace = asks_ahead<Kind>(count) ? Kind::kStepBytes / parts : 0;
    while (steps > 0) {
        const int64_t size = std::min(block_steps, steps);
        const std::byte* const next = weights + size * Kind::kStepBytes;
        for (int64_t part = 0; part < parts; ++part) {
            const int64_t first = count * part / parts, last = count * (part + 1) / parts;
            kAddBlock<Kind>[std::size_t(last - first - 1)](
                {rows + first * stride, stride, weights, size, sums + first * kPanel, next + part * size * pace, pace});
        }
        rows += size * Kind::kStep;
        weights = next;
        steps -= size;
    }
}

template <class Kind>
void multiply_panels(const Matrix& matrix, const Rows& rows, const Output& out, const Run& panels) {
    const int64_t steps = divide_up(matrix.inputs(), Kind::kStep), stride = Kind::stride(rows);
    alignas(kCacheLine) typename Kind::Sum sums[kTileRows * kPanel];
    for (int64_t row = 0; row < rows.count; row += kTileRows) {
        const int64_t count = std::min(kTileRows, rows.count - row);
        for (int64_t panel = panels.first; panel < panels.last; ++panel) {
            const int64_t column = panel * kPanel;
            begin(matrix, column, sums, count);
            add_panel<Kind>(matrix.panel(panel), steps, Kind::numbers(rows) + row * stride, stride, count, sums);
            for (int64_t r = 0; r < count; ++r) finish(matrix, rows, row + r, column, sums + r * kPanel, out);
        }
    }
}

}  // namespace

void multiply(const Matrix& matrix, const Rows& rows, const Output& out, Shares& shares, int thread) noexcept {
    shares.divide(matrix.panels(), thread, [&](const Run& panels) {
        switch (matrix.format()) {
            case Format::f32: return multiply_panels<F32Kind>(matrix, rows, out, panels);
            case Format::bf16: return multiply_panels<Bf16Kind>(matrix, rows, out, panels);
            case Format::f16: return multiply_panels<F16Kind>(matrix, rows, out, panels);
            case Format::int8: return multiply_panels<Int8Kind>(matrix, rows, out, panels);
        }
    });
}

}  // namespace parley
