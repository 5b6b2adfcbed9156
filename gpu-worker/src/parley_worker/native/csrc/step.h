// A step as Python hands it over: its numbers in one array, beside tables that change seldom or not at all.
#pragma once

#include <cstdint>
#include <vector>

#include "batch.h"

namespace parley {

// blocks: the scheduler's tables [tables, stride]. cos and sin: [angles, head_dim].
struct Tables {
  int64_t tables, stride, angles;
  const int32_t* blocks;
  const float *cos, *sin;
};

// Reads the numbers
//   rows, segments, draws, turns | tokens [rows] | positions [rows] | angle_of [rows], if turns is 1; else the
//   positions are meant | drawn [draws] | starts [segments + 1] | tables [segments]: the table of each segment's blocks
// as a batch. Its segments' blocks are copied from their tables, as far as the furthest position needs them.
class Step {
 public:
  // How many draws the numbers are of.
  static int64_t draws(const int64_t* numbers) { return numbers[2]; }

  // Whether the step can be repeated: each row is a segment of its own, and drawn; its angle is its position's.
  static bool repeats(const int64_t* numbers);

  // Makes the numbers of such a step those of the next, once its rows have drawn `tokens`.
  static void advance(int64_t* numbers, const int64_t* tokens);

  // The batch is good until the next call, as long as numbers and tables are. The numbers are as many as their first
  // four say. Throws std::invalid_argument for a table that there is not, and std::bad_alloc; what else may be wrong
  // with a batch is for others to see.
  Batch read(const int64_t* numbers, const Tables& tables);

 private:
  std::vector<int32_t> starts_, blocks_;
};

}  // namespace parley
