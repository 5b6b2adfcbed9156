// The innermost loop: a few rows by one panel, the sums in registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "cpu.h"

namespace parley {

// As many rows as leave registers for the weights of a step and a row's number.
#if defined(PARLEY_AVX512)
inline constexpr int block_rows = 12;
#else
inline constexpr int block_rows = 6;
#endif

template <class Kind>
struct Block {
    const typename Kind::Number* rows;
    std::int64_t stride;        // numbers between rows
    const std::byte* weights;   // of a panel, from the first step on
    std::int64_t steps;
    typename Kind::Sum* sums;   // [rows, panel_width], added to
    const std::byte* ahead;     // read soon: `pace` bytes of it for each step
    std::int64_t pace;
};

// Every sum grows by one step after the other whatever `count` is.
template <class Kind, int count>
void add_block(const Block<Kind>& block) {
    using Vector = typename Kind::Vector;
    const auto* rows = block.rows;
    const std::byte* weights = block.weights;
    const std::byte* ahead = block.ahead;
    Vector sums[count][2];
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) {
        sums[r][0] = simd::load(block.sums + r * simd::panel_width);
        sums[r][1] = simd::load(block.sums + r * simd::panel_width + simd::lanes);
    }
    for (std::int64_t left = block.steps; left > 0; --left) {
        for (std::int64_t line = 0; line < Kind::step_bytes; line += simd::cache_line) simd::prefetch(ahead + line);
        Vector a, b;
        Kind::load(weights, a, b);
#pragma GCC unroll 16
        for (int r = 0; r < count; ++r) {
            const Vector x = Kind::spread(rows + r * block.stride);
            sums[r][0] = Kind::accumulate(sums[r][0], x, a);
            sums[r][1] = Kind::accumulate(sums[r][1], x, b);
        }
        rows += Kind::step;
        weights += Kind::step_bytes;
        ahead += block.pace;
    }
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) {
        simd::store(block.sums + r * simd::panel_width, sums[r][0]);
        simd::store(block.sums + r * simd::panel_width + simd::lanes, sums[r][1]);
    }
}

template <class Kind>
using AddBlock = void (*)(const Block<Kind>&);

// The loop for each number of rows from 1 to block_rows.
template <class Kind>
inline constexpr auto add_blocks = []<std::size_t... i>(std::index_sequence<i...>) {
    return std::array<AddBlock<Kind>, block_rows>{add_block<Kind, static_cast<int>(i) + 1>...};
}(std::make_index_sequence<block_rows>());

}  // namespace parley
