// What tokens that were there before cost.
#pragma once

#include <cstdint>

namespace parley {

// Of `places` different ids, and how often the answer has each of them. Off: repetition 1, the others 0.
struct Penalties {
  double repetition, presence, frequency;
  const int64_t *ids, *counts;
  int64_t places;
};

// Changes a row of scores as engine/sampler/penalties.py does, to the bit but for the sign of a zero. Finite scores
// stay finite, others as they are.
void penalize(float* scores, const Penalties& penalties) noexcept;

}  // namespace parley
