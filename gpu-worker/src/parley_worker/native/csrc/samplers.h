// Draws for a whole step, shared by the threads of a pool.
#pragma once

#include <cstdint>
#include <vector>

#include "pool.h"
#include "sampler.h"

namespace parley {

class Samplers {
 public:
  explicit Samplers(int64_t vocab) : vocab_(vocab) {}

  // Draws a token from each of `rows` rows of scores. Throws, before anything is drawn or changed,
  // std::invalid_argument for a penalized id that is no token of the vocabulary, and std::bad_alloc.
  void draw(Pool& pool, float* scores, int64_t rows, const Draw* draws, int64_t* tokens);

 private:
  int64_t vocab_;
  std::vector<Sampler> of_threads_;
};

}  // namespace parley
