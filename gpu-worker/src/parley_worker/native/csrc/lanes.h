// Sixteen floats, the keys of a block side by side, in the widest registers of the machine that this is compiled for.
//
// Every operation does the same to each lane and sums lanes in one fixed tree, so that a result never depends on how
// many neighbours it is computed with. Compile with -ffp-contract=off: products are fused where `fma` says so, only.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace parley {

constexpr int kLanes = 16;

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
constexpr int kParts = kLanes / kWidth;

typedef float FloatPart __attribute__((vector_size(kWidth * 4)));
typedef int32_t IntPart __attribute__((vector_size(kWidth * 4)));
typedef uint32_t BitsPart __attribute__((vector_size(kWidth * 4)));

struct Lanes {
  FloatPart part[kParts];
};

inline FloatPart broadcast(float value) {
#if defined(__AVX512F__)
  return (FloatPart)_mm512_set1_ps(value);
#elif defined(__AVX2__)
  return (FloatPart)_mm256_set1_ps(value);
#else
  return FloatPart{value, value, value, value};
#endif
}

inline Lanes splat(float value) {
  Lanes result;
  for (auto& part : result.part) part = broadcast(value);
  return result;
}

inline Lanes load(const float* source) {
  Lanes result;
  std::memcpy(&result, source, sizeof result);
  return result;
}

inline void store(float* target, const Lanes& lanes) { std::memcpy(target, &lanes, sizeof lanes); }

inline void store(float* target, const Lanes& first, const Lanes& second) {
  store(target, first);
  store(target + kLanes, second);
}

inline float first(const Lanes& lanes) { return lanes.part[0][0]; }

inline Lanes operator+(Lanes a, const Lanes& b) {
  for (int i = 0; i < kParts; ++i) a.part[i] += b.part[i];
  return a;
}

inline Lanes operator-(Lanes a, const Lanes& b) {
  for (int i = 0; i < kParts; ++i) a.part[i] -= b.part[i];
  return a;
}

inline Lanes operator*(Lanes a, const Lanes& b) {
  for (int i = 0; i < kParts; ++i) a.part[i] *= b.part[i];
  return a;
}

inline Lanes operator/(Lanes a, const Lanes& b) {
  for (int i = 0; i < kParts; ++i) a.part[i] /= b.part[i];
  return a;
}

inline FloatPart fma(FloatPart a, FloatPart b, FloatPart c) {
#if defined(__AVX512F__)
  return (FloatPart)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (FloatPart)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (FloatPart)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

// a * b + c, rounded once where the machine can.
inline Lanes fma(const Lanes& a, const Lanes& b, Lanes c) {
  for (int i = 0; i < kParts; ++i) c.part[i] = fma(a.part[i], b.part[i], c.part[i]);
  return c;
}

inline FloatPart max(FloatPart a, FloatPart b) {
#if defined(__AVX512F__)
  return (FloatPart)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return a > b ? a : b;
#endif
}

// The greater of each two; of a NaN and a number, either.
inline Lanes max(Lanes a, const Lanes& b) {
  for (int i = 0; i < kParts; ++i) a.part[i] = max(a.part[i], b.part[i]);
  return a;
}

// The lanes from begin up to end, and `other` elsewhere.
inline Lanes keep(const Lanes& lanes, int begin, int end, float other) {
  alignas(64) float values[kLanes];
  store(values, lanes);
  for (int i = 0; i < kLanes; ++i) values[i] = i >= begin && i < end ? values[i] : other;
  return load(values);
}

inline FloatPart fold_parts(const Lanes& lanes, FloatPart (*join)(FloatPart, FloatPart)) {
  FloatPart folded[kParts];
  std::memcpy(folded, lanes.part, sizeof folded);
  for (int count = kParts / 2; count > 0; count /= 2)
    for (int i = 0; i < count; ++i) folded[i] = join(folded[i], folded[i + count]);
  return folded[0];
}

// The sum of the lanes, halves first.
inline float sum(const Lanes& lanes) {
  const FloatPart part = fold_parts(lanes, [](FloatPart a, FloatPart b) { return a + b; });
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)part);
#else
  float values[kWidth];
  std::memcpy(values, &part, sizeof values);
  for (int count = kWidth / 2; count > 0; count /= 2)
    for (int i = 0; i < count; ++i) values[i] += values[i + count];
  return values[0];
#endif
}

// The greatest lane. A NaN among them may be overlooked.
inline float greatest(const Lanes& lanes) {
  const FloatPart part = fold_parts(lanes, [](FloatPart a, FloatPart b) { return (FloatPart)(a > b ? a : b); });
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)part);
#else
  float values[kWidth];
  std::memcpy(values, &part, sizeof values);
  for (int count = kWidth / 2; count > 0; count /= 2)
    for (int i = 0; i < count; ++i) values[i] = values[i] > values[i + count] ? values[i] : values[i + count];
  return values[0];
#endif
}

inline FloatPart exp_part(FloatPart x) {
  // x = n ln 2 + r with |r| <= ln 2 / 2, where the series of e^r is exact to float32 after eight terms.
  constexpr float kLowest = -86.5f, kHighest = 88.37f, kRound = 12582912.0f;  // 1.5 * 2^23
  const IntPart vanishes = x < kLowest, overflows = x > kHighest;
  const FloatPart shifted = fma(x, broadcast(1.44269504f), broadcast(kRound));
  const FloatPart n = shifted - kRound;
  FloatPart r = fma(n, broadcast(-0.693359375f), x);
  r = fma(n, broadcast(2.12194440e-4f), r);
  FloatPart series = broadcast(1.0f / 5040);
  for (const float term : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    series = fma(series, r, broadcast(term));
  BitsPart bits, exponent;
  std::memcpy(&bits, &series, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 23;
  FloatPart scaled;
  std::memcpy(&scaled, &bits, sizeof scaled);
  scaled = series == series ? scaled : series;  // NaN stays one
  scaled = overflows ? broadcast(__builtin_inff()) : scaled;
  return vanishes ? FloatPart{} : scaled;
}

// e^x to about one unit in the last place; 0 below -86.5, infinite above 88.37. NaN stays NaN.
inline Lanes exp(Lanes x) {
  for (auto& part : x.part) part = exp_part(part);
  return x;
}

// x * 2^n for a whole n, and 0 where that is below float32's normal numbers.
inline FloatPart scale_part(FloatPart x, FloatPart n) {
#if defined(__AVX512F__)
  return (FloatPart)_mm512_scalef_ps((__m512)x, (__m512)n);
#else
  BitsPart bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits += (BitsPart)__builtin_convertvector(n, IntPart) << 23;
  FloatPart scaled;
  std::memcpy(&scaled, &bits, sizeof scaled);
  scaled = x == x ? scaled : x;  // NaN stays one
  return n < -126.0f ? FloatPart{} : scaled;
#endif
}

// What x is above the nearest whole number, or below it.
inline FloatPart fraction_part(FloatPart x) {
#if defined(__AVX512DQ__)
  return (FloatPart)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#else
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  return x - (x + kRound - kRound);
#endif
}

// 2^x for x <= 0, by the coefficients of a polynomial in x's fraction, the last first. NaN stays NaN.
template <int count>
inline FloatPart exp2_part(FloatPart x, const float (&coefficients)[count]) {
#if !defined(__AVX512DQ__)
  x = broadcast(-200.0f) > x ? broadcast(-200.0f) : x;  // infinities have no fraction there
#endif
  const FloatPart fraction = fraction_part(x);
  FloatPart sum = broadcast(coefficients[0]);
#pragma GCC unroll 8
  for (int i = 1; i < count; ++i) sum = fma(sum, fraction, broadcast(coefficients[i]));
  return scale_part(sum, x - fraction);
}

// 2^x for x <= 0, to about one unit in the last place; 0 from about -126 down. NaN stays NaN.
inline Lanes exp2(Lanes x) {
  constexpr float kBest[] = {1.3264727e-3f, 9.671513e-3f, 5.5507336e-2f, 2.4022242e-1f, 6.931470e-1f, 1.0f};
  for (auto& part : x.part) part = exp2_part(part, kBest);
  return x;
}

// The same within 3e-6 of itself, for what becomes bfloat16: it is rounded alike but for about one in a thousand.
inline Lanes rough_exp2(Lanes x) {
  constexpr float kBest[] = {9.58285294e-3f, 5.59064262e-2f, 2.40240991e-1f, 6.93124175e-1f, 1.0f};
  for (auto& part : x.part) part = exp2_part(part, kBest);
  return x;
}

}  // namespace parley
