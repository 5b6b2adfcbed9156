#include "samplers.h"

#include <algorithm>
#include <stdexcept>

namespace parley {

namespace {

// Fewer rows are drawn from sooner than other threads are woken.
constexpr int64_t kShared = 4;

bool is_within(const Penalties& penalties, int64_t vocab) {
  const auto is_token = [&](int64_t id) { return id >= 0 && id < vocab; };
  return std::all_of(penalties.ids, penalties.ids + penalties.places, is_token);
}

}  // namespace

void Samplers::draw(Pool& pool, float* scores, int64_t rows, const Draw* draws, int64_t* tokens) {
  for (int64_t row = 0; row < rows; ++row)
    if (!is_within(draws[row].penalties, vocab_))
      throw std::invalid_argument("a token that is penalized is not of the vocabulary");
  while (int(of_threads_.size()) < pool.threads()) of_threads_.emplace_back(vocab_);
  const auto draw = [&](int thread, int threads) {
    for (int64_t row = thread; row < rows; row += threads)
      tokens[row] = of_threads_[size_t(thread)].draw(scores + row * vocab_, draws[row]);
  };
  if (rows < kShared) draw(0, 1);
  else pool.fork(draw);
}

}  // namespace parley
