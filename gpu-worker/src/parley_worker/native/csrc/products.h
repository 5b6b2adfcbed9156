// Sums of products, the innermost loop of attention: a few rows of numbers, each number times sixteen others.
//
// Scores are such sums (a query's numbers, each times those of sixteen keys), and so are outputs (a weight times a
// value's numbers). Each sum adds up its products one after the other: it is the same bits whatever is computed beside
// it, and in every library whose machine fuses products.
#pragma once

#include "bfloat16.h"
#include "lanes.h"

namespace parley {

// Float32 as it is.
struct Singles {
  using Item = float;
  using Vector = Lanes;
  static constexpr int kDepth = 1;  // items that lie side by side and are multiplied in one step

  static Lanes exp2(const Lanes& x) { return parley::exp2(x); }
  static Vector load(const Item* from) { return parley::load(from); }
  static Vector spread(const Item* from) { return splat(*from); }
  static Lanes add(const Lanes& sum, const Vector& a, const Vector& b) { return fma(a, b, sum); }
};

// Two of bfloat16, whose products float32 holds exactly: the second's is added first, as AVX512_BF16 does it.
struct Pairs {
  using Item = Bfloat16;
  static constexpr int kDepth = 2;

  static Lanes exp2(const Lanes& x) { return rough_exp2(x); }
#if defined(__AVX512BF16__)
  using Vector = __m512bh;

  static Vector load(const Item* from) { return (Vector)_mm512_loadu_si512(from); }
  static Vector spread(const Item* from) {
    int32_t pair;
    std::memcpy(&pair, from, sizeof pair);
    return (Vector)_mm512_set1_epi32(pair);
  }
  static Lanes add(const Lanes& sum, const Vector& a, const Vector& b) {
    return {{(FloatPart)_mm512_dpbf16_ps((__m512)sum.part[0], a, b)}};
  }
#else
  struct Vector {
    Lanes first, second;
  };

  static Vector load(const Item* from) {
    BitsPart bits[kParts];
    std::memcpy(bits, from, sizeof bits);
    Vector vector;
    for (int i = 0; i < kParts; ++i) {
      vector.first.part[i] = (FloatPart)(bits[i] << 16);
      vector.second.part[i] = (FloatPart)(bits[i] & 0xffff0000);
    }
    return vector;
  }
  static Vector spread(const Item* from) { return {splat(widen(from[0])), splat(widen(from[1]))}; }
  static Lanes add(const Lanes& sum, const Vector& a, const Vector& b) {
    return fma(a.first, b.first, fma(a.second, b.second, sum));
  }
#endif
};

// The sums of `count` rows and `vectors` times sixteen others, all in registers.
template <int count, int vectors>
struct Sums {
  Lanes lanes[count][vectors];

  Sums() {
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) lanes[i][v] = splat(0);
  }

  // Rows are `stride` floats apart.
  void store(float* to, int64_t stride) const {
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) parley::store(to + i * stride + v * kLanes, lanes[i][v]);
  }
};

// Adds to the sum of row i and vector v, for each of `steps`, at least one: what row i has there, times the vector that
// `place(v)` begins with, `step` items from one to the next. Rows are `stride` items apart. With `asks` the vectors are
// read no faster than memory gives them, and each step asks for as much of what begins at `ahead(v)`.
template <class Kind, bool asks, int count, int vectors, class Place>
inline void add_products(Sums<count, vectors>& sums, const typename Kind::Item* rows, int64_t stride, Place place,
                         Place ahead, int64_t step, int64_t steps) {
  int64_t s = 0;
  do {
    typename Kind::Vector b[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      b[v] = Kind::load(place(v) + s * step);
      if (asks) __builtin_prefetch(ahead(v) + s * step, 0, 2);
    }
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      const typename Kind::Vector a = Kind::spread(rows + i * stride + s * Kind::kDepth);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums.lanes[i][v] = Kind::add(sums.lanes[i][v], a, b[v]);
    }
  } while (++s < steps);
}

}  // namespace parley
