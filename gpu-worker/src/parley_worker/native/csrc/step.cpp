#include "step.h"

#include <algorithm>
#include <stdexcept>

#include "lanes.h"

namespace parley {

namespace {

constexpr int64_t kCounts = 4;

}  // namespace

bool Step::repeats(const int64_t* numbers) {
  const int64_t rows = numbers[0], segments = numbers[1], turns = numbers[3];
  return segments == rows && draws(numbers) == rows && !turns;
}

void Step::advance(int64_t* numbers, const int64_t* tokens) {
  const int64_t rows = numbers[0];
  std::copy_n(tokens, rows, numbers + kCounts);
  for (int64_t* position = numbers + kCounts + rows; position < numbers + kCounts + 2 * rows; ++position) ++*position;
}

Batch Step::read(const int64_t* numbers, const Tables& tables) {
  const int64_t rows = numbers[0], segments = numbers[1], draws = numbers[2];
  const int64_t *tokens = numbers + kCounts, *positions = tokens + rows;
  const int64_t* angle_of = numbers[3] ? positions + rows : positions;
  const int64_t *drawn = angle_of + rows, *starts = drawn + draws, *chosen = starts + segments + 1;
  const int64_t last = rows ? *std::max_element(positions, positions + rows) : -1;
  const int64_t width = std::clamp<int64_t>(last / kLanes + 1, 0, tables.stride);
  starts_.assign(starts, starts + segments + 1);
  blocks_.resize(size_t(segments * width));
  for (int64_t segment = 0; segment < segments; ++segment) {
    const int64_t table = chosen[segment];
    if (table < 0 || table >= tables.tables) throw std::invalid_argument("a table that is not there");
    std::copy_n(tables.blocks + table * tables.stride, width, blocks_.data() + segment * width);
  }
  return {rows,      segments,       draws,          width, tables.angles, tokens,
          positions, starts_.data(), blocks_.data(), drawn, angle_of,      tables.cos,
          tables.sin};
}

}  // namespace parley
