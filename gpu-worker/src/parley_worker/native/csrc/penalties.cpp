#include "penalties.h"

#include <cmath>
#include <limits>

namespace parley {

namespace {

float finite(float score) {
  constexpr float most = std::numeric_limits<float>::max();
  if (std::isnan(score)) return 0;
  return std::isinf(score) ? std::copysign(most, score) : score;
}

}  // namespace

void penalize(float* scores, const Penalties& penalties) noexcept {
  const float repetition = float(penalties.repetition);
  for (int64_t place = 0; place < penalties.places; ++place) {
    float& score = scores[penalties.ids[place]];
    if (!std::isfinite(score)) continue;
    const int64_t count = penalties.counts[place];
    const double deduction = (count > 0 ? penalties.presence : 0.0) + penalties.frequency * double(count);
    score = finite((score < 0 ? score * repetition : score / repetition) - float(deduction));
  }
}

}  // namespace parley
