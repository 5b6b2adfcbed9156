#include "tiles.h"

#include <algorithm>
#include <cstdlib>

#include "shares.h"

namespace parley {

namespace {

// Whoever joins parts waits for what lies in the caches of others. With heads for all threads that is worth it only in
// rows so long: on two threads with three heads, 2,000 positions lost 1 % of a step by it and 7,000 gained 2 %.
constexpr int64_t kLong = 4096;

}  // namespace

Tiles Tiling::of_all() const {
  const int64_t most = rows_of_tile(group);
  std::vector<Tile> all;
  for (int64_t segment = 0; segment < batch.segments; ++segment) {
    const int64_t begin = batch.starts[segment], rows = batch.starts[segment + 1] - begin;
    for (int64_t part = 0, parts = (rows + most - 1) / most; part < parts; ++part) {
      const auto [first, last] = share(rows, int(part), int(parts));
      all.push_back({segment, begin + first, last - first, 0, kv_heads, begin + first});
    }
  }
  return divide(all);
}

Tiles Tiling::of_drawn() const {
  std::vector<Tile> all;
  for (int64_t draw = 0, rows; draw < batch.draws; draw += rows) {
    const int64_t row = batch.drawn[draw], segment = segment_of(batch, row);
    const int64_t end = std::min<int64_t>(row + rows_of_tile(group), batch.starts[segment + 1]);
    for (rows = 1; row + rows < end && draw + rows < batch.draws && batch.drawn[draw + rows] == row + rows;) ++rows;
    all.push_back({segment, row, rows, 0, kv_heads, draw});
  }
  return divide(all);
}

// Rows alone read their keys and values from memory: all heads of a block together, as they lie there, where no cut is.
// Rows of a prompt read them once for all of them, from the cache: a head each.
Tiles Tiling::divide(const std::vector<Tile>& all) const {
  Tiles result;
  int64_t total = 0, before = 0;
  for (const Tile& tile : all) total += cost(tile);
  for (const Tile& tile : all) {
    if (tile.rows == 1)
      cut_row(result, tile, before, total);
    else
      for (int64_t head = 0; head < kv_heads; ++head)
        result.tiles.push_back({tile.segment, tile.row, tile.rows, head, 1, tile.to});
    before += cost(tile);
  }
  std::stable_sort(result.tiles.begin(), result.tiles.end(),
                   [&](const Tile& a, const Tile& b) { return cost(a) > cost(b); });
  return result;
}

// In positions.
int64_t Tiling::cost(const Tile& tile) const {
  Span span = seen(tile.row + tile.rows - 1);
  if (tile.split != Tile::kWhole)
    span = {std::max(span.begin, tile.chunks.begin * kChunk), std::min(span.end, tile.chunks.end * kChunk)};
  return tile.heads * tile.rows * span.size();
}

// Of a total, what comes before the row is shared out already.
void Tiling::cut_row(Tiles& to, const Tile& row, int64_t before, int64_t total) const {
  const Span span = seen(row.row);
  const int64_t first = chunks_of(span).begin, after = before + cost(row);
  Cut from{0, first};
  for (int64_t thread = 1; thread < threads; ++thread) {
    const int64_t at = total * thread / threads;
    if (at <= before || at >= after) continue;
    const Cut until = nearest_cut(span, at - before);
    add(to, row, from, until);
    from = until;
  }
  add(to, row, from, {kv_heads, first});
}

Tiling::Cut Tiling::nearest_cut(const Span& seen, int64_t cost) const {
  const int64_t head = cost / seen.size(), position = seen.begin + cost % seen.size();
  const int64_t border = (position + kChunk / 2) / kChunk * kChunk, off = std::abs(position - border);
  const int64_t back = position - seen.begin, ahead = seen.end - position;
  const bool within_head = batch.segments * kv_heads < threads || seen.size() >= kLong;
  if (within_head && off < std::min(back, ahead)) return {head, border / kChunk};
  return {head + (ahead < back), seen.begin / kChunk};
}

void Tiling::add(Tiles& to, const Tile& row, Cut from, const Cut& until) const {
  const Span chunks = chunks_of(seen(row.row));
  if (from == until) return;
  if (from.chunk > chunks.begin) {
    const bool within = from.head == until.head;
    add_part(to, row, from.head, {from.chunk, within ? until.chunk : chunks.end});
    if (within) return;
    ++from.head;
  }
  if (from.head < until.head)
    to.tiles.push_back({row.segment, row.row, 1, from.head, until.head - from.head, row.to});
  if (until.chunk > chunks.begin) add_part(to, row, until.head, {chunks.begin, until.chunk});
}

// The parts of a split come one after the other.
void Tiling::add_part(Tiles& to, Tile row, int64_t head, const Span& chunks) const {
  const Span all = chunks_of(seen(row.row));
  if (chunks.begin == all.begin) {
    to.splits.push_back({0, chunks.end, to.chunks});
    to.chunks += all.size();
  }
  ++to.splits.back().parts;
  to.tiles.push_back({row.segment, row.row, 1, head, 1, row.to, int64_t(to.splits.size()) - 1, chunks});
}

}  // namespace parley
