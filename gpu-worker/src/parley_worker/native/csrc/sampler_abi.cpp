// Sampling for callers outside C++.
#include <algorithm>
#include <new>
#include <vector>

#include "pool.h"
#include "sampler.h"

using namespace parley;

namespace {

// Fewer rows are drawn from sooner than other threads are woken.
constexpr int64_t kShared = 4;

enum Outcome : int64_t { kDrawn = 0, kNoMemory = 1, kNoToken = 2 };

bool is_within(const Penalties& penalties, int64_t vocab) {
  const auto is_token = [&](int64_t id) { return id >= 0 && id < vocab; };
  return std::all_of(penalties.ids, penalties.ids + penalties.places, is_token);
}

}  // namespace

struct Samplers {
  int64_t vocab;
  std::vector<Sampler> of_threads;
};

extern "C" {

// Null when memory is lacking.
Samplers* parley_sampler_new(int64_t vocab) {
  try {
    return new Samplers{vocab, {}};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void parley_sampler_free(Samplers* samplers) { delete samplers; }

// Draws a token from each of `rows` rows of scores. When memory is lacking, or a penalized id is no token of the
// vocabulary, nothing is drawn or changed.
int64_t parley_sampler_draw(Samplers* samplers, Pool* pool, float* scores, int64_t rows, const Draw* draws,
                            int64_t* tokens) {
  for (int64_t row = 0; row < rows; ++row)
    if (!is_within(draws[row].penalties, samplers->vocab)) return kNoToken;
  const auto draw = [&](int thread, int threads) {
    for (int64_t row = thread; row < rows; row += threads)
      tokens[row] = samplers->of_threads[thread].draw(scores + row * samplers->vocab, draws[row]);
  };
  try {
    while (int(samplers->of_threads.size()) < pool->threads()) samplers->of_threads.emplace_back(samplers->vocab);
  } catch (const std::bad_alloc&) {
    return kNoMemory;
  }
  if (rows < kShared) draw(0, 1);
  else pool->fork(draw);
  return kDrawn;
}

}  // extern "C"
