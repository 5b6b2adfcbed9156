// Symmetric int8: number = code * scale, codes in -127..127.
#pragma once

#include <cmath>
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

// To the nearest whole number, to even from the middle. Adding 1.5 * 2^23 leaves no bits for a fraction, and unlike
// lrint becomes vectors.
inline int32_t to_code(float number, const Symmetric& by) {
    constexpr float whole = 0x1.8p23f;
    return int32_t((number * by.inverse + whole) - whole);
}

}  // namespace parley
