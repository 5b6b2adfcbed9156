// What sets one format of weights apart in a product: how a step loads the weights of a panel, spreads a row's numbers
// over the lanes and adds up. A step is one input, or with int8 a group of inputs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu.h"

namespace parley {

struct FloatKind {
    using Number = float;                // of a row
    using Sum = float;                   // of a column
    using Vector = simd::Floats;
    static constexpr std::int64_t step = 1;  // inputs

    static Vector spread(const float* x) { return simd::broadcast(*x); }
    static Vector accumulate(Vector sum, Vector x, Vector weights) { return simd::fma(x, weights, sum); }
};

struct F32Kind : FloatKind {
    static constexpr std::int64_t step_bytes = simd::panel_width * 4;

    static void load(const std::byte* from, Vector& left, Vector& right) {
        const auto* weights = reinterpret_cast<const float*>(from);
        left = simd::load(weights);
        right = simd::load(weights + simd::lanes);
    }
};

struct Bf16Kind : FloatKind {
    static constexpr std::int64_t step_bytes = simd::panel_width * 2;

    static void load(const std::byte* from, Vector& left, Vector& right) {
        const simd::Ints words = simd::load(reinterpret_cast<const std::int32_t*>(from));
        left = simd::low_bf16(words);
        right = simd::high_bf16(words);
    }
};

struct F16Kind : FloatKind {
    static constexpr std::int64_t step_bytes = simd::panel_width * 2;

    static void load(const std::byte* from, Vector& left, Vector& right) {
        const auto* weights = reinterpret_cast<const std::uint16_t*>(from);
        left = simd::load_f16(weights);
        right = simd::load_f16(weights + simd::lanes);
    }
};

// Sums are exact: a wrapped 32-bit intermediate of the unsigned form comes right with the correction.
struct Int8Kind {
    using Number = simd::Code;
    using Sum = std::int32_t;
    using Vector = simd::Ints;
    static constexpr std::int64_t step = simd::group;
    static constexpr std::int64_t step_bytes = simd::panel_width * simd::group;

    static Vector spread(const simd::Code* x) { return simd::spread_codes(x); }
    static Vector accumulate(Vector sum, Vector x, Vector weights) { return simd::dot_codes(sum, x, weights); }
    static void load(const std::byte* from, Vector& left, Vector& right) {
        const auto* weights = reinterpret_cast<const std::int8_t*>(from);
        left = simd::load_codes(weights);
        right = simd::load_codes(weights + simd::lanes * simd::group);
    }
};

}  // namespace parley
