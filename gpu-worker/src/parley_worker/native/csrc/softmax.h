// The softmax of a query over some of its positions, and two of them made one.
#pragma once

#include <limits>

#include "bfloat16.h"
#include "lanes.h"

namespace parley {

// A view of size(padded) floats: the values summed by their weights [padded], the greatest score, and the total of the
// weights. A weight is 2^(score - greatest).
struct Softmax {
  float* sums;
  int64_t padded;

  static int64_t size(int64_t padded) { return padded + kLanes; }

  float& greatest() const { return sums[padded]; }
  float& total() const { return sums[padded + 1]; }

  // Over no positions.
  void clear() const {
    for (int64_t d = 0; d < padded; ++d) sums[d] = 0;
    greatest() = -std::numeric_limits<float>::infinity();
    total() = 0;
  }

  // Over those of the other too. Into an empty one it goes unchanged.
  void add(const Softmax& other) const {
    const float most = other.greatest() > greatest() ? other.greatest() : greatest();
    const Lanes ours = exp2(splat(greatest() - most)), theirs = exp2(splat(other.greatest() - most));
    for (int64_t d = 0; d < padded; d += kLanes)
      store(sums + d, fma(load(other.sums + d), theirs, load(sums + d) * ours));
    total() = total() * first(ours) + other.total() * first(theirs);
    greatest() = most;
  }

  void write(float* output, int64_t head_dim) const {
    for (int64_t d = 0; d < head_dim; ++d) output[d] = sums[d] / total();
  }
};

// Of `count` times sixteen scores, at least one. `count` may be a constant, for which the loop is unrolled.
template <class Count>
inline float greatest_of(const float* scores, Count count) {
  Lanes most = load(scores);
  for (int64_t i = 1; i < count; ++i) most = max(load(scores + i * kLanes), most);
  return greatest(most);
}

// Their weights, and the sum of these.
template <class Kind, class Count>
inline float weigh(const float* scores, Count count, float greatest, typename Kind::Item* weights) {
  const auto weight = [=](int64_t i) { return Kind::exp2(load(scores + i * kLanes) - splat(greatest)); };
  Lanes even = splat(0), odd = splat(0);
  int64_t i = 0;
  for (; i + 1 < count; i += 2) {
    const Lanes first = weight(i), second = weight(i + 1);
    store(weights + i * kLanes, first, second);
    even = even + first;
    odd = odd + second;
  }
  if (i < count) {
    const Lanes last = weight(i);
    store(weights + i * kLanes, last);
    even = even + last;
  }
  return sum(even + odd);
}

}  // namespace parley
