// IEEE half precision, as values of the KV cache are kept: exact to widen, rounded to nearest even to narrow.
#pragma once

#include "cpu.h"
#include "lanes.h"

namespace parley {

using Half = uint16_t;

inline Half narrow(float value) {
#if defined(__AVX2__)
  return Half(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
#else
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const Half sign = Half(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return sign | 0x7e00;
  if (bits >= 0x477ff000) return sign | 0x7c00;  // from 65520 on the nearest is infinity
  if (bits < 0x38800000) {
    // Subnormal: adding 0.5 leaves the half's bits at the end of the float's, rounded as the addition rounds.
    float magnitude;
    std::memcpy(&magnitude, &bits, 4);
    magnitude += 0.5f;
    std::memcpy(&bits, &magnitude, 4);
    return sign | Half(bits - 0x3f000000);
  }
  bits += 0xfff + (bits >> 13 & 1);  // half of the last place, or just below it where that one is even
  return sign | Half((bits - 0x38000000) >> 13);
#endif
}

inline Lanes load(const Half* source) {
#if defined(__AVX512F__)
  return {{(FloatPart)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)source))}};
#elif defined(__AVX2__)
  return {{(FloatPart)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)source)),
      (FloatPart)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)source + 1))}};
#else
  alignas(64) float values[kLanes];
  for (int i = 0; i < kLanes; ++i) values[i] = simd::widen_f16(source[i]);
  return load(values);
#endif
}

inline void put(float* target, float value) { *target = value; }
inline void put(Half* target, float value) { *target = narrow(value); }

}  // namespace parley
