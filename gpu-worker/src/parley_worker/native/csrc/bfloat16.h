// bfloat16, as keys and values may be kept: the upper half of a float32, rounded to nearest even.
// Numbers below float32's normal ones may become zeros.
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.h"

namespace parley {

using Bfloat16 = uint16_t;

// The bits of a float rounded to its upper half. NaN stays NaN: rounded up it might become a zero.
inline Bfloat16 narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return Bfloat16(bits >> 16 | 0x40);
  return Bfloat16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float widen(Bfloat16 value) {
  const uint32_t bits = uint32_t(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

inline void put(float* target, float value) { *target = value; }
inline void put(Bfloat16* target, float value) { *target = narrow(value); }

inline void store(Bfloat16* target, const Lanes& lanes) {
#if defined(__AVX512BF16__)
  const __m256bh narrowed = _mm512_cvtneps_pbh((__m512)lanes.part[0]);
  std::memcpy(target, &narrowed, sizeof narrowed);
#else
  float values[kLanes];
  store(values, lanes);
  for (int i = 0; i < kLanes; ++i) target[i] = narrow(values[i]);
#endif
}

inline void store(Bfloat16* target, const Lanes& first, const Lanes& second) {
#if defined(__AVX512BF16__)
  const __m512bh narrowed = _mm512_cvtne2ps_pbh((__m512)second.part[0], (__m512)first.part[0]);
  std::memcpy(target, &narrowed, sizeof narrowed);
#else
  store(target, first);
  store(target + kLanes, second);
#endif
}

}  // namespace parley
