// The vectors of the instruction set that this library is compiled for: the few operations that kernels are written in.
// Each operation on a lane is one IEEE operation and `fma` rounds once where the CPU can, so that all x86-64 libraries
// give the same bits.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512VNNI__)
#define PARLEY_AVX512 1
#include <immintrin.h>
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define PARLEY_AVX2 1
#include <immintrin.h>
#endif

namespace parley::simd {

inline constexpr std::int64_t cache_line = 64;

// bf16 is the upper half of a float32.
inline float widen_bf16(std::uint16_t bits) {
    const std::uint32_t word = static_cast<std::uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}

// Exact, subnormal numbers, infinities and NaN included.
inline float widen_f16(std::uint16_t bits) {
#if defined(PARLEY_AVX512) || defined(PARLEY_AVX2)
    return _cvtsh_ss(bits);
#else
    // The exponent of a half moved into a float's place stands 112 too low, which a product mends, subnormals too.
    const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7fff) << 13;
    float value;
    std::memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112f;
    std::uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    if ((bits & 0x7c00) == 0x7c00) word = magnitude | 0x7f800000u;
    word |= static_cast<std::uint32_t>(bits & 0x8000) << 16;
    std::memcpy(&value, &word, sizeof value);
    return value;
#endif
}

#if defined(PARLEY_AVX512)

inline constexpr std::int64_t lanes = 16;
using Floats = __m512;
using Ints = __m512i;

inline Floats zeros() { return _mm512_setzero_ps(); }
inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Floats a) { _mm512_storeu_ps(to, a); }
inline Floats broadcast(float a) { return _mm512_set1_ps(a); }
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c
inline Floats load_f16(const std::uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline Ints load(const std::int32_t* from) { return _mm512_loadu_si512(from); }
inline void store(std::int32_t* to, Ints a) { _mm512_storeu_si512(to, a); }
inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }  // to nearest
inline Floats low_bf16(Ints words) { return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)); }
inline Floats high_bf16(Ints words) {
    return _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

// The codes of a group of inputs in all lanes; the weights of `lanes` columns and a group of inputs; sum + their products.
inline Ints spread_codes(const std::uint8_t* codes) {
  std::int32_t word;
  std::memcpy(&word, codes, sizeof word);
  return _mm512_set1_epi32(word);
}
inline Ints load_codes(const std::int8_t* from) { return _mm512_loadu_si512(from); }
inline Ints dot_codes(Ints sum, Ints codes, Ints weights) { return _mm512_dpbusd_epi32(sum, codes, weights); }

#elif defined(PARLEY_AVX2)

inline constexpr std::int64_t lanes = 8;
using Floats = __m256;
using Ints = __m256i;

inline Floats zeros() { return _mm256_setzero_ps(); }
inline Floats load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Floats a) { _mm256_storeu_ps(to, a); }
inline Floats broadcast(float a) { return _mm256_set1_ps(a); }
inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Floats mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }  // a * b + c
inline Floats load_f16(const std::uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Ints load(const std::int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
inline void store(std::int32_t* to, Ints a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a); }
inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }  // to nearest
inline Floats low_bf16(Ints words) { return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16)); }
inline Floats high_bf16(Ints words) {
    return _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
}

// 16-bit products: the 8-bit ones of this instruction set saturate.
inline Ints spread_codes(const std::int16_t* codes) {
  std::int32_t word;
  std::memcpy(&word, codes, sizeof word);
  return _mm256_set1_epi32(word);
}
inline Ints load_codes(const std::int8_t* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline Ints dot_codes(Ints sum, Ints codes, Ints weights) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, weights));
}

#else  // GCC's and clang's own vectors

inline constexpr std::int64_t lanes = 4;
typedef float Floats __attribute__((vector_size(16)));
typedef std::int32_t Ints __attribute__((vector_size(16)));

inline Floats zeros() { return Floats{}; }
inline Floats load(const float* from) { Floats a; std::memcpy(&a, from, sizeof a); return a; }
inline void store(float* to, Floats a) { std::memcpy(to, &a, sizeof a); }
inline Floats broadcast(float a) { return Floats{a, a, a, a}; }
inline Floats add(Floats a, Floats b) { return a + b; }
inline Floats mul(Floats a, Floats b) { return a * b; }
inline Floats fma(Floats a, Floats b, Floats c) { return a * b + c; }
inline Floats load_f16(const std::uint16_t* from) {
    return Floats{widen_f16(from[0]), widen_f16(from[1]), widen_f16(from[2]), widen_f16(from[3])};
}
inline Ints load(const std::int32_t* from) { Ints a; std::memcpy(&a, from, sizeof a); return a; }
inline void store(std::int32_t* to, Ints a) { std::memcpy(to, &a, sizeof a); }
inline Ints add(Ints a, Ints b) { return a + b; }
inline Floats to_floats(Ints a) { return __builtin_convertvector(a, Floats); }
inline Floats low_bf16(Ints words) { Ints a = words << 16; Floats b; std::memcpy(&b, &a, sizeof b); return b; }
inline Floats high_bf16(Ints words) { Ints a = words & static_cast<int>(0xffff0000u); Floats b; std::memcpy(&b, &a, sizeof b); return b; }

inline Ints spread_codes(const std::int8_t* code) { return Ints{*code, *code, *code, *code}; }
inline Ints load_codes(const std::int8_t* from) { return Ints{from[0], from[1], from[2], from[3]}; }
inline Ints dot_codes(Ints sum, Ints codes, Ints weights) { return sum + codes * weights; }

#endif

// The layout of packed weights: a panel has this many outputs, and int8 kernels take the inputs of an output in groups.
inline constexpr std::int64_t panel_width = 2 * lanes;
// A row's codes are kept as what the instruction takes: unsigned bytes (code + 128), 16-bit numbers, or bytes.
#if defined(PARLEY_AVX512)
inline constexpr std::int64_t group = 4;
using Code = std::uint8_t;
inline constexpr std::int32_t code_offset = 128;
#elif defined(PARLEY_AVX2)
inline constexpr std::int64_t group = 2;
using Code = std::int16_t;
inline constexpr std::int32_t code_offset = 0;
#else
inline constexpr std::int64_t group = 1;
using Code = std::int8_t;
inline constexpr std::int32_t code_offset = 0;
#endif

inline constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// Asks for the cache line of an address that will be read soon; any address will do.
inline void prefetch(const void* address) { __builtin_prefetch(address, 0, 2); }

}  // namespace parley::simd
