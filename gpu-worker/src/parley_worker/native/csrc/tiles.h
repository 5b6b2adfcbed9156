// How the attention of a step is cut into pieces, each the work of one thread.
#pragma once

#include <vector>

#include "attention.h"
#include "batch.h"

namespace parley {

// Some rows of a segment and some heads of keys and values. `to`: where the first of these rows stands among those that
// the layer goes on with. split: kWhole, or of which split this is a part: of one row and head, only these chunks.
struct Tile {
  static constexpr int64_t kWhole = -1;

  int64_t segment, row, rows, head, heads, to, split = kWhole;
  Span chunks{};
};

// A row and head in `parts` tiles, the first of which ends before the chunk `joined`. place: of its softmaxes, counted
// in chunks, among those of all splits.
struct Split {
  int64_t parts, joined, place;
};

// The longest tiles come first: what is claimed last is soon done, and no thread waits long for another.
struct Tiles {
  std::vector<Tile> tiles;
  std::vector<Split> splits;  // fewer than threads
  int64_t chunks = 0;         // of all splits
};

// The tiles of layers with the same reach. group: query heads that share a head of keys and values.
//
// Rows that are alone in their tile are cut where each thread has its part of all: between heads, or where that is
// worth it within a head, between chunks. So one long row is the work of all threads, and of many rows few are cut.
struct Tiling {
  const Batch& batch;
  int64_t group, kv_heads, threads, reach;

  // Of all rows, and of only those drawn. Throws std::bad_alloc.
  Tiles of_all() const;
  Tiles of_drawn() const;

 private:
  // In front of a chunk of a head.
  struct Cut {
    int64_t head, chunk;

    bool operator==(const Cut&) const = default;
  };

  Span seen(int64_t row) const { return seen_from(batch.positions[row], reach); }
  int64_t cost(const Tile& tile) const;
  Tiles divide(const std::vector<Tile>& all) const;
  void cut_row(Tiles& to, const Tile& row, int64_t before, int64_t total) const;
  Cut nearest_cut(const Span& seen, int64_t cost) const;
  void add(Tiles& to, const Tile& row, Cut from, const Cut& until) const;
  void add_part(Tiles& to, Tile row, int64_t head, const Span& chunks) const;
};

}  // namespace parley
