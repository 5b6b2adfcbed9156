#include "elementwise.h"

#include <algorithm>
#include <cmath>

#include "lanes.h"

namespace parley {

namespace {

// Up to sixteen numbers, zeros behind them.
Lanes load_some(const float* source, int64_t count) {
  if (count >= kLanes) return load(source);
  alignas(64) float values[kLanes] = {};
  std::copy_n(source, count, values);
  return load(values);
}

void store_some(float* target, const Lanes& lanes, int64_t count) {
  if (count >= kLanes) return store(target, lanes);
  alignas(64) float values[kLanes];
  store(values, lanes);
  std::copy_n(values, count, target);
}

float sum_of_squares(const float* row, int64_t size) {
  Lanes even = splat(0), odd = splat(0);
  for (int64_t i = 0; i < size; i += 2 * kLanes) {
    const Lanes first = load_some(row + i, size - i);
    even = fma(first, first, even);
    if (i + kLanes >= size) break;
    const Lanes second = load_some(row + i + kLanes, size - i - kLanes);
    odd = fma(second, second, odd);
  }
  return sum(even + odd);
}

}  // namespace

void normalize(const float* row, const float* weight, int64_t size, float epsilon, float* out) {
  const float scale = 1.0f / std::sqrt(sum_of_squares(row, size) / float(size) + epsilon);
  for (int64_t i = 0; i < size; ++i) out[i] = row[i] * scale * weight[i];
}

void rotate(float* head, const float* cos, const float* sin, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float first = head[i], second = head[i + half];
    head[i] = first * cos[i] + second * sin[i];
    head[i + half] = second * cos[i + half] + first * sin[i + half];
  }
}

void activate(const float* gate, const float* up, int64_t size, float* out) {
  const Lanes one = splat(1);
  for (int64_t i = 0; i < size; i += kLanes) {
    const Lanes x = load_some(gate + i, size - i);
    const Lanes activated = x / (one + exp(splat(0) - x)) * load_some(up + i, size - i);
    store_some(out + i, activated, size - i);
  }
}

}  // namespace parley
