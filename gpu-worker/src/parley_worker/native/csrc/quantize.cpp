#include "quantize.h"

#include <algorithm>

#include "cpu.h"
#include "gemm.h"

namespace parley {

using namespace simd;

// An odd number of cache lines.
std::int64_t row_stride(std::int64_t numbers) { return (round_up(numbers * 4, cache_line) / cache_line | 1) * cache_line / 4; }

std::int64_t code_stride(std::int64_t inputs) {
    const std::int64_t bytes = round_up(inputs, group) * static_cast<std::int64_t>(sizeof(Code));
    return (round_up(bytes, cache_line) / cache_line | 1) * cache_line;
}

float quantize(const float* values, std::int64_t inputs, std::byte* codes) {
    std::uint32_t largest = 0;
    for (std::int64_t k = 0; k < inputs; ++k) largest = std::max(largest, size_bits(values[k]));
    const Symmetric by = symmetric(largest);
    auto* const to = reinterpret_cast<Code*>(codes);
    if (largest >= infinity_bits) {
        std::fill_n(to, inputs, static_cast<Code>(code_offset));
    } else {
        for (std::int64_t k = 0; k < inputs; ++k) to[k] = static_cast<Code>(to_code(values[k], by) + code_offset);
    }
    std::fill(to + inputs, to + round_up(inputs, group), static_cast<Code>(code_offset));
    return by.scale;
}

}  // namespace parley
