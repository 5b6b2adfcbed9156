// Draws tokens from rows of scores.
#pragma once

#include <cstdint>

#include "buffer.h"
#include "penalties.h"

namespace parley {

// What a row is drawn by. temperature 0: its best score, the first of ties. top_k 0, top_p 1 and min_p 0 are off.
// uniform, in [0, 1) and of 52 bits at most, is all of the chance in it.
struct Draw {
  double temperature;
  int64_t top_k;
  double top_p;
  double min_p;
  double uniform;
  Penalties penalties;
};

// The order is transformers': penalties, temperature, the best top_k, of these the nucleus of top_p, of these what
// weighs min_p of the best. A token is in the nucleus if the better ones weigh less than top_p of all. Ties stay or go
// together. What is drawn depends on the row alone.
class Sampler {
 public:
  // Throws std::bad_alloc.
  explicit Sampler(int64_t vocab);

  // The token that is drawn from scores [vocab], which penalties change, or -1 if one of them is not finite. The ids
  // that are penalized are of the vocabulary.
  int64_t draw(float* scores, const Draw& how) noexcept;

 private:
  bool survey(const float* scores);
  int64_t find_best(const float* scores) const;
  int64_t shorten(const float* scores, int64_t top_k);
  template <typename Keep>
  int64_t collect(const float* scores, float floor, Keep&& keep) const;
  void weigh(const float* scores, int64_t count, float best, float temperature);
  float nucleus_end(int64_t count, double top_p);
  int64_t pick(int64_t count, float least, double uniform);

  int64_t vocab_;
  float best_ = 0;
  Buffer<float> maxima_, ordered_, short_, weights_;
  Buffer<int32_t> ids_;
  Buffer<double> ends_, bins_;
};

}  // namespace parley
