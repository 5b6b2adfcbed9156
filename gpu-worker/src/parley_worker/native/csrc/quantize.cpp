#include "quantize.h"

#include <algorithm>

#include "cpu.h"
#include "gemm.h"

namespace parley {

using namespace simd;

// An odd number of cache lines.
int64_t row_stride(int64_t numbers) { return (round_up(numbers * 4, kCacheLine) / kCacheLine | 1) * kCacheLine / 4; }

int64_t code_stride(int64_t inputs) {
    const int64_t bytes = round_up(inputs, kGroup) * int64_t(sizeof(Code));
    return (round_up(bytes, kCacheLine) / kCacheLine | 1) * kCacheLine;
}

float quantize(const float* values, int64_t inputs, std::byte* codes) {
    uint32_t largest = 0;
    for (int64_t k = 0; k < inputs; ++k) largest = std::max(largest, size_bits(values[k]));
    const Symmetric by = symmetric(largest);
    auto* const to = reinterpret_cast<Code*>(codes);
    for (int64_t k = 0; k < inputs; ++k) to[k] = Code(to_code(values[k], by) + kCodeOffset);
    return by.scale;
}

}  // namespace parley
