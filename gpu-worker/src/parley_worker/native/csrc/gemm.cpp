#include "gemm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu.h"
#include "quantize.h"

namespace parley {

using namespace simd;

std::int64_t row_stride(std::int64_t numbers) {
    const std::int64_t per_line = cache_line / 4;
    const std::int64_t lines = (numbers + per_line - 1) / per_line;
    return (lines | 1) * per_line;
}

std::int64_t code_stride(std::int64_t inputs) {
    const std::int64_t bytes = round_up(inputs, group) * static_cast<std::int64_t>(sizeof(Code));
    return (((bytes + cache_line - 1) / cache_line) | 1) * cache_line;
}

float quantize(const float* values, std::int64_t inputs, std::byte* codes) {
    std::uint32_t largest = 0;
    for (std::int64_t k = 0; k < inputs; ++k) largest = std::max(largest, size_bits(values[k]));
    const Symmetric by = symmetric(largest);
    auto* const to = reinterpret_cast<Code*>(codes);
    if (largest >= infinity_bits) std::fill_n(to, inputs, static_cast<Code>(code_offset));
    else for (std::int64_t k = 0; k < inputs; ++k) to[k] = static_cast<Code>(std::lrint(values[k] * by.inverse) + code_offset);
    std::fill(to + inputs, to + round_up(inputs, group), static_cast<Code>(code_offset));
    return by.scale;
}

void multiply(const Matrix& matrix, const Rows& rows, float* out, std::int64_t out_stride, bool add, int thread,
              int threads) noexcept {
    const std::int64_t first = matrix.panels() * thread / threads * panel_width;
    const std::int64_t last = std::min(matrix.panels() * (thread + 1) / threads * panel_width, matrix.outputs());
    thread_local std::vector<float> weights;
    weights.resize(matrix.inputs());
    for (std::int64_t o = first; o < last; ++o) {
        matrix.unpack(o, weights.data());
        for (std::int64_t r = 0; r < rows.count; ++r) {
            float sum = 0;
            if (matrix.format() == Format::int8) {
                const auto* x = reinterpret_cast<const Code*>(rows.codes + r * rows.code_stride);
                std::int64_t dot = 0;
                for (std::int64_t k = 0; k < matrix.inputs(); ++k) {
                    dot += (x[k] - code_offset) * std::lrint(matrix.scales()[o] == 0 ? 0 : weights[k] / matrix.scales()[o]);
                }
                sum = static_cast<float>(dot) * rows.scales[r] * matrix.scales()[o];
            } else {
                for (std::int64_t k = 0; k < matrix.inputs(); ++k) sum = std::fma(rows.values[r * rows.value_stride + k], weights[k], sum);
            }
            if (matrix.bias()) sum += matrix.bias()[o];
            float& to = out[r * out_stride + o];
            to = add ? to + sum : sum;
        }
    }
}

}  // namespace parley
