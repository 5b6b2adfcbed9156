// Symmetric int8: number = code * scale, codes in -127..127.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

namespace parley {

// The bits of |x|: they sort as the sizes do, with infinity and NaN above all numbers.
inline uint32_t size_bits(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}

inline constexpr uint32_t kInfinityBits = 0x7f800000u;

struct Symmetric {
    float scale;
    float inverse;  // code = round(number * inverse)
};

// For numbers of which the largest has these size_bits. Below 1e-36 the inverse would overflow: all codes are 0 then.
inline Symmetric symmetric(uint32_t largest_bits) {
    float largest;
    std::memcpy(&largest, &largest_bits, sizeof largest);
    if (largest_bits >= kInfinityBits) return {std::numeric_limits<float>::quiet_NaN(), 0.0f};
    if (largest < 1e-36f) return {0.0f, 0.0f};
    return {largest / 127.0f, 127.0f / largest};
}

// To the nearest whole number, to even from the middle: added to 1.5 * 2^23 a number keeps no fraction, and its bits
// count on from there. Becomes vectors, unlike lrint; a NaN gives some code.
inline int32_t to_code(float number, const Symmetric& by) {
    const float sum = number * by.inverse + 0x1.8p23f;
    uint32_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    return int32_t(bits - 0x4b400000u);
}

}  // namespace parley
