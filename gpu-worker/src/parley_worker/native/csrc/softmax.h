// The softmax of a query over some of its positions, and two of them made one.
#pragma once

#include <cmath>
#include <limits>

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
    const float apart = other.greatest() - greatest();
    const Lanes shrink = exp2(splat(-std::fabs(apart))), whole = splat(1);
    const Lanes &ours = apart > 0 ? shrink : whole, &theirs = apart > 0 ? whole : shrink;
    for (int64_t d = 0; d < padded; d += kLanes)
      store(sums + d, fma(load(other.sums + d), theirs, load(sums + d) * ours));
    total() = total() * first(ours) + other.total() * first(theirs);
    if (apart > 0) greatest() = other.greatest();
  }

  void write(float* output, int64_t head_dim) const {
    for (int64_t d = 0; d < head_dim; ++d) output[d] = sums[d] / total();
  }
};

}  // namespace parley
