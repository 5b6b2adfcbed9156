#include "tiles.h"

#include "attention.h"

namespace parley {

namespace {

// What is claimed last is soon done, and no thread waits long for another.
void put_longest_first(std::vector<Tile>& tiles, const Batch& batch) {
  const auto cost = [&](const Tile& tile) {
    return tile.heads * tile.rows * batch.positions[tile.row + tile.rows - 1];
  };
  std::stable_sort(tiles.begin(), tiles.end(), [&](const Tile& a, const Tile& b) { return cost(a) > cost(b); });
}

}  // namespace

void Tiling::list_all(const Batch& batch, std::vector<Tile>& tiles) const {
  const int64_t most = rows_of_tile(group);
  tiles.clear();
  for (int64_t segment = 0; segment < batch.segments; ++segment)
    for (int64_t row = batch.starts[segment], end = batch.starts[segment + 1]; row < end; row += most)
      add(tiles, batch, segment, row, std::min(most, end - row), row);
  put_longest_first(tiles, batch);
}

void Tiling::list_drawn(const Batch& batch, std::vector<Tile>& tiles) const {
  tiles.clear();
  for (int64_t draw = 0, rows; draw < batch.draws; draw += rows) {
    const int64_t row = batch.drawn[draw], segment = segment_of(batch, row);
    const int64_t end = std::min<int64_t>(row + rows_of_tile(group), batch.starts[segment + 1]);
    for (rows = 1; row + rows < end && draw + rows < batch.draws && batch.drawn[draw + rows] == row + rows;) ++rows;
    add(tiles, batch, segment, row, rows, draw);
  }
  put_longest_first(tiles, batch);
}

// A row alone reads its keys and values from memory, which is fastest in the order in which they lie there: all heads
// of a block together. Rows of a prompt read them once for all of them, from the cache: a head each.
void Tiling::add(std::vector<Tile>& tiles, const Batch& batch, int64_t segment, int64_t row, int64_t rows,
                 int64_t to) const {
  const int64_t pieces = batch.segments < 4 * threads ? threads : 1;
  const int64_t heads = rows == 1 ? (kv_heads + pieces - 1) / pieces : 1;
  for (int64_t head = 0; head < kv_heads; head += heads)
    tiles.push_back({segment, row, rows, head, std::min(heads, kv_heads - head), to});
}

}  // namespace parley
