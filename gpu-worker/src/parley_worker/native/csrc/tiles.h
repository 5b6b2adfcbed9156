// How the attention of a step is cut into pieces, each the work of one thread.
#pragma once

#include <vector>

#include "batch.h"

namespace parley {

// Some rows of a segment and some heads of keys and values. `to`: where the first of these rows stands among those that
// the layer goes on with.
struct Tile {
  int64_t segment, row, rows, head, heads, to;
};

// group: query heads that share a head of keys and values.
struct Tiling {
  int64_t group, kv_heads, threads;

  // All rows, and only those drawn; the longest tiles first. `tiles` is overwritten.
  void list_all(const Batch& batch, std::vector<Tile>& tiles) const;
  void list_drawn(const Batch& batch, std::vector<Tile>& tiles) const;

 private:
  void add(std::vector<Tile>& tiles, const Batch& batch, int64_t segment, int64_t row, int64_t rows, int64_t to) const;
};

}  // namespace parley
