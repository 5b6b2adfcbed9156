// Sampling for callers outside C++.
#include <new>
#include <vector>

#include "pool.h"
#include "sampler.h"

using namespace parley;

namespace {

// Fewer rows are drawn from sooner than other threads are woken.
constexpr int64_t kShared = 4;

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

// Draws a token from each of `rows` rows of scores; 1 if there is no memory for it.
int64_t parley_sampler_draw(Samplers* samplers, Pool* pool, const float* scores, int64_t rows, const Draw* draws,
                            int64_t* tokens) {
  const auto draw = [&](int thread, int threads) {
    for (int64_t row = thread; row < rows; row += threads)
      tokens[row] = samplers->of_threads[thread].draw(scores + row * samplers->vocab, draws[row]);
  };
  try {
    while (int(samplers->of_threads.size()) < pool->threads()) samplers->of_threads.emplace_back(samplers->vocab);
  } catch (const std::bad_alloc&) {
    return 1;
  }
  if (rows < kShared) draw(0, 1);
  else pool->fork(draw);
  return 0;
}

}  // extern "C"
