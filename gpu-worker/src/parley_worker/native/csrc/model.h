// A decoder that draws: steps one after the other in one call, each of which begins with what the one before has drawn.
#pragma once

#include <cstdint>

#include "decoder.h"
#include "samplers.h"
#include "step.h"

namespace parley {

// How often a step is repeated. It is laid out as parley_worker/native/abi.py repeats it.
struct Rounds {
  int64_t most;  // 1 at least; more only for a step that repeats
  double seconds;  // a round that would end later than so long after the beginning is not begun
  int64_t commands;  // a file descriptor, or -1: once there is something to read, no round is begun
  int64_t stop_count;
  const int64_t* stops;  // tokens; once one is drawn, no round is begun
};

class Model {
 public:
  Model(const DecoderShape& shape, const DecoderWeights& weights, Cache& cache, Pool& pool)
    : decoder_(shape, weights, cache, pool), pool_(pool) {}

  // Computes a step, whose numbers are what step.h says: the scores of those that it draws.
  void execute(const int64_t* numbers, const Tables& tables, float* scores);

  // Computes a step, draws, and goes on with the tokens at the next positions, which `numbers` then hold, round by
  // round; how many there were. `draws` and `tokens` are [rounds.most, draws of the step]. `scores` are overwritten.
  // A row whose scores are not finite draws -1 and ends it. Throws what Decoder and Samplers do, before the step that
  // it is about.
  int64_t generate(int64_t* numbers, const Tables& tables, float* scores, Samplers& samplers, const Draw* draws,
                   const Rounds& rounds, int64_t* tokens);

 private:
  Decoder decoder_;
  Step step_;
  Pool& pool_;
};

}  // namespace parley
