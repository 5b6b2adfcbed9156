// What sets one format of weights apart in a product: how a step loads the weights of a panel, spreads a row's numbers
// over the lanes and adds up. A step is one input, or with int8 a group of inputs.
#pragma once

#include <cstddef>

#include "cpu.h"
#include "gemm.h"

namespace parley {

struct FloatKind {
    using Number = float;  // of a row
    using Sum = float;     // of a row and an output
    using Vector = simd::Floats;
    static constexpr int64_t kStep = 1;

    static const Number* numbers(const Rows& rows) { return rows.values; }
    static int64_t stride(const Rows& rows) { return rows.value_stride; }
    static Vector spread(const Number* x) { return simd::broadcast(*x); }
    static Vector accumulate(Vector sum, Vector x, Vector weights) { return simd::fma(x, weights, sum); }
};

struct F32Kind : FloatKind {
    static constexpr int64_t kStepBytes = simd::kPanel * 4;

    static void load(const std::byte* from, Vector& left, Vector& right) {
        left = simd::load_as<Vector>(from);
        right = simd::load_as<Vector>(from + sizeof(Vector));
    }
};

struct Bf16Kind : FloatKind {
    static constexpr int64_t kStepBytes = simd::kPanel * 2;

    static void load(const std::byte* from, Vector& left, Vector& right) {
        const auto words = simd::load_as<simd::Ints>(from);
        left = simd::low_bf16(words);
        right = simd::high_bf16(words);
    }
};

struct F16Kind : FloatKind {
    static constexpr int64_t kStepBytes = simd::kPanel * 2;

    static void load(const std::byte* from, Vector& left, Vector& right) {
        const auto* weights = reinterpret_cast<const uint16_t*>(from);
        left = simd::load_f16(weights);
        right = simd::load_f16(weights + simd::kLanes);
    }
};

// Sums are exact, whatever wraps on the way: they fit into 32 bits when all is added, corrections too.
struct Int8Kind {
    using Number = simd::Code;
    using Sum = int32_t;
    using Vector = simd::Ints;
    static constexpr int64_t kStep = simd::kGroup;
    static constexpr int64_t kStepBytes = simd::kPanel * simd::kGroup;

    static const Number* numbers(const Rows& rows) { return reinterpret_cast<const Number*>(rows.codes); }
    static int64_t stride(const Rows& rows) { return rows.code_stride / int64_t(sizeof(Number)); }
    static Vector spread(const Number* x) { return simd::spread_codes(x); }
    static Vector accumulate(Vector sum, Vector x, Vector weights) { return simd::dot_codes(sum, x, weights); }

    static void load(const std::byte* from, Vector& left, Vector& right) {
        const auto* weights = reinterpret_cast<const int8_t*>(from);
        left = simd::load_codes(weights);
        right = simd::load_codes(weights + simd::kLanes * simd::kGroup);
    }
};

}  // namespace parley
