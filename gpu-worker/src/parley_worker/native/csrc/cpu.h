// The vectors of the instruction set that this is compiled for: the few operations that products are written in. Every
// operation on a lane rounds once, so that all x86-64 libraries with FMA give the same bits.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define PARLEY_AVX512 1
#include <immintrin.h>
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define PARLEY_AVX2 1
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace parley::simd {

// `Code` is what int8 products take of a row, kGroup inputs at once: unsigned bytes (number + 128), 16-bit numbers or
// bytes.
#if defined(PARLEY_AVX512)
constexpr int64_t kLanes = 16;
constexpr int64_t kGroup = 4;
constexpr int32_t kCodeOffset = 128;
using Code = uint8_t;
#elif defined(PARLEY_AVX2)
constexpr int64_t kLanes = 8;
constexpr int64_t kGroup = 2;
constexpr int32_t kCodeOffset = 0;
using Code = int16_t;
#else
constexpr int64_t kLanes = 4;
constexpr int64_t kGroup = 1;
constexpr int32_t kCodeOffset = 0;
using Code = int8_t;
#endif

constexpr int64_t kPanel = 2 * kLanes;  // outputs whose weights lie side by side
constexpr int64_t kCacheLine = 64;

constexpr int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
constexpr int64_t round_up(int64_t n, int64_t to) { return divide_up(n, to) * to; }

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));

// Numbers may stand at any address.
template <class To, class From>
To load_as(const From* from) {
    To to;
    std::memcpy(&to, from, sizeof to);
    return to;
}

inline Floats load(const float* from) { return load_as<Floats>(from); }
inline Ints load(const int32_t* from) { return load_as<Ints>(from); }
inline void store(float* to, Floats a) { std::memcpy(to, &a, sizeof a); }
inline void store(int32_t* to, Ints a) { std::memcpy(to, &a, sizeof a); }
inline Floats broadcast(float a) { return a - Floats{}; }  // nothing is subtracted; + would have to mind -0
inline Floats to_floats(Ints a) { return __builtin_convertvector(a, Floats); }

// bf16 is the upper half of a float32. Two vectors of them share 32-bit lanes.
inline Floats low_bf16(Ints words) { return (Floats)(words << 16); }
inline Floats high_bf16(Ints words) { return (Floats)(words & int32_t(0xffff0000)); }

inline float widen_bf16(uint16_t bits) {
    const uint32_t word = uint32_t(bits) << 16;
    return load_as<float>(&word);
}

// a * b + c, rounded once where the CPU can.
inline Floats fma(Floats a, Floats b, Floats c) {
#if defined(PARLEY_AVX512)
    return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(PARLEY_AVX2)
    return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (Floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// f16 as float32, exactly: subnormal numbers, infinities and NaN too.
inline Floats load_f16(const uint16_t* from) {
#if defined(PARLEY_AVX512)
    return (Floats)_mm512_cvtph_ps(load_as<__m256i>(from));
#elif defined(PARLEY_AVX2)
    return (Floats)_mm256_cvtph_ps(load_as<__m128i>(from));
#else
    // With its exponent in a float's place a number stands 2^112 too low, which a product mends.
    typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
    const Ints bits = __builtin_convertvector(load_as<Halves>(from), Ints);
    const Ints magnitude = (bits & 0x7fff) << 13;
    const Ints finite = (Ints)((Floats)magnitude * broadcast(0x1p112f));
    const Ints special = (bits & 0x7c00) == 0x7c00;
    return (Floats)((special & (magnitude | 0x7f800000)) | (~special & finite) | ((bits & 0x8000) << 16));
#endif
}

inline float widen_f16(uint16_t bits) {
#if defined(PARLEY_AVX512) || defined(PARLEY_AVX2)
    return _cvtsh_ss(bits);
#else
    const uint16_t halves[kLanes] = {bits};
    return load_f16(halves)[0];
#endif
}

// A group of a row's codes in all lanes.
inline Ints spread_codes(const Code* codes) {
    if constexpr (kGroup == 1) return *codes - Ints{};
    else return load_as<int32_t>(codes) - Ints{};
}

// The weights of a group of inputs and kLanes outputs, as dot_codes takes them.
inline Ints load_codes(const int8_t* from) {
#if defined(PARLEY_AVX512)
    return load_as<Ints>(from);
#elif defined(PARLEY_AVX2)
    return (Ints)_mm256_cvtepi8_epi16(load_as<__m128i>(from));
#else
    typedef int8_t Bytes __attribute__((vector_size(kLanes)));
    return __builtin_convertvector(load_as<Bytes>(from), Ints);
#endif
}

// sum + the products of a group, exact modulo 2^32.
inline Ints dot_codes(Ints sum, Ints codes, Ints weights) {
#if defined(PARLEY_AVX512)
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, (__m512i)weights);
#elif defined(PARLEY_AVX2)
    // 16-bit products: the 8-bit ones of this instruction set saturate.
    return sum + (Ints)_mm256_madd_epi16((__m256i)codes, (__m256i)weights);
#else
    return sum + codes * weights;
#endif
}

// Asks for the cache line of an address that is soon read; any address will do.
inline void prefetch(const void* address) { __builtin_prefetch(address, 0, 2); }

}  // namespace parley::simd
