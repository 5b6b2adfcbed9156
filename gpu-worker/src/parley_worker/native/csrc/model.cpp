#include "model.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include <poll.h>

namespace parley {

namespace {

using Clock = std::chrono::steady_clock;

bool is_readable(int64_t file) {
  pollfd asked{int(file), POLLIN, 0};
  return file >= 0 && poll(&asked, 1, 0) != 0;
}

// Whether there is time for a round more, if it takes as long as those before.
bool has_time(Clock::time_point began, int64_t done, double seconds) {
  const std::chrono::duration<double> taken = Clock::now() - began;
  return taken.count() * double(done + 1) <= seconds * double(done);
}

bool ends(int64_t token, const Rounds& rounds) {
  const int64_t* const end = rounds.stops + rounds.stop_count;
  return token < 0 || std::find(rounds.stops, end, token) != end;
}

}  // namespace

void Model::execute(const int64_t* numbers, const Tables& tables, float* scores) {
  decoder_.execute(step_.read(numbers, tables), scores);
}

int64_t Model::generate(int64_t* numbers, const Tables& tables, float* scores, Samplers& samplers, const Draw* draws,
                        const Rounds& rounds, int64_t* tokens) {
  const int64_t count = Step::draws(numbers);
  if (rounds.most > 1 && !Step::repeats(numbers))
    throw std::invalid_argument("a step of other rows than those that decode is not repeated");
  const auto began = Clock::now();
  for (int64_t done = 1;; ++done, draws += count, tokens += count) {
    execute(numbers, tables, scores);
    samplers.draw(pool_, scores, count, draws, tokens);
    const bool over = std::any_of(tokens, tokens + count, [&](int64_t token) { return ends(token, rounds); });
    if (done >= rounds.most || over || !has_time(began, done, rounds.seconds) || is_readable(rounds.commands))
      return done;
    Step::advance(numbers, tokens);
  }
}

}  // namespace parley
