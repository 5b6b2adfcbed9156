// The innermost loop: a few rows by one panel, the sums in registers.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "cpu.h"

namespace parley {

// As many rows as leave registers for the weights of a step and a row's number.
#if defined(PARLEY_AVX512)
constexpr int kBlockRows = 12;
#else
constexpr int kBlockRows = 6;
#endif

template <class Kind>
struct Block {
    const typename Kind::Number* rows;
    int64_t stride;            // numbers between rows
    const std::byte* weights;  // of a panel, from the first step on
    int64_t steps;
    typename Kind::Sum* sums;  // [rows, kPanel], added to
    const std::byte* ahead;    // what is read next: each step asks for `pace` bytes of it
    int64_t pace;
};

// Every sum grows step by step, in one order whatever `count` is.
template <class Kind, int count>
void add_block(const Block<Kind>& block) {
    using Vector = typename Kind::Vector;
    constexpr int64_t kPanel = simd::kPanel, kLanes = simd::kLanes;
    const auto* rows = block.rows;
    const std::byte* weights = block.weights;
    const std::byte* ahead = block.ahead;
    Vector sums[count][2];
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) {
        sums[r][0] = simd::load(block.sums + r * kPanel);
        sums[r][1] = simd::load(block.sums + r * kPanel + kLanes);
    }
    for (int64_t left = block.steps; left > 0; --left) {
        for (int64_t line = 0; line < block.pace; line += simd::kCacheLine) simd::prefetch(ahead + line);
        Vector low, high;
        Kind::load(weights, low, high);
#pragma GCC unroll 16
        for (int r = 0; r < count; ++r) {
            const Vector x = Kind::spread(rows + r * block.stride);
            sums[r][0] = Kind::accumulate(sums[r][0], x, low);
            sums[r][1] = Kind::accumulate(sums[r][1], x, high);
        }
        rows += Kind::kStep;
        weights += Kind::kStepBytes;
        ahead += block.pace;
    }
#pragma GCC unroll 16
    for (int r = 0; r < count; ++r) {
        simd::store(block.sums + r * kPanel, sums[r][0]);
        simd::store(block.sums + r * kPanel + kLanes, sums[r][1]);
    }
}

// The loop for each number of rows from 1 to kBlockRows.
template <class Kind>
constexpr auto kAddBlock = []<std::size_t... i>(std::index_sequence<i...>) {
    return std::array{&add_block<Kind, int(i) + 1>...};
}(std::make_index_sequence<kBlockRows>());

}  // namespace parley
