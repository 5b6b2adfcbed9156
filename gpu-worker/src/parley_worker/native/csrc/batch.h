// What a step computes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace parley {

// A batch as parley_worker/scheduler/batch.py describes it. blocks: [segments, block_stride]. cos and sin are tables
// [angles, head_dim], whose row for a row of the batch `angle_of` names.
struct Batch {
  int64_t rows, segments, draws, block_stride, angles;
  const int64_t *tokens, *positions;
  const int32_t *starts, *blocks;
  const int64_t *drawn, *angle_of;
  const float *cos, *sin;
};

inline int64_t segment_of(const Batch& batch, int64_t row) {
  return std::upper_bound(batch.starts, batch.starts + batch.segments + 1, int32_t(row)) - batch.starts - 1;
}

}  // namespace parley
