// Attention of some rows of one sequence over its blocks, in the order of their positions.
//
// A sequence is cut into chunks of kChunk positions. Each query has a softmax of its own over each chunk, and adds them
// up in order: what a chunk adds does not depend on how many rows meet it together, nor on what came before.
#pragma once

#include <algorithm>
#include <vector>

#include "buffer.h"
#include "cache.h"

namespace parley {

constexpr int64_t kChunk = 256;

// Rows of one sequence, and `heads` heads of keys and values from `head` on, each with the `group` query heads that
// share it.
//
// queries and outputs: the first row's first of these heads; rows are `query_stride` and `output_stride` floats apart,
// heads head_dim. Queries are scaled already. positions: of the rows. reach: how many positions back a row attends,
// itself included; 0 means all. blocks: where position p lies is blocks[p / 16].
struct AttentionTask {
  int64_t layer, head, heads, group, rows, reach;
  const float* queries;
  int64_t query_stride;
  const int64_t* positions;
  const int32_t* blocks;
  float* outputs;
  int64_t output_stride;
};

// How many rows should attend together to one head, so that their state stays near the processor.
constexpr int64_t rows_of_tile(int64_t group) { return group < 32 ? 32 / group : 1; }

// From begin up to end.
struct Span {
  int64_t begin, end;

  bool operator==(const Span&) const = default;
  bool empty() const { return begin >= end; }
  int64_t size() const { return end - begin; }
};

// The positions that a row attends to, and the chunks they are in.
inline Span seen_from(int64_t position, int64_t reach) {
  return {reach ? std::max<int64_t>(0, position + 1 - reach) : 0, position + 1};
}
inline Span chunks_of(const Span& positions) {
  return {positions.begin / kChunk, (positions.end + kChunk - 1) / kChunk};
}

// What a thread needs to attend; made once for a cache and the greatest number of queries of a task. Scores and
// weights are of one chunk: [queries, kChunk]; `chunk` and `all` are softmaxes.
struct AttentionScratch {
  AttentionScratch(const CacheShape& shape, int64_t queries);

  Buffer<std::byte> queries, weights, edges;
  Buffer<float> scores, chunk, all;
  std::vector<Span> seen;
};

// Every row's result is the same bits whatever rows are beside it. Positions that a row does not attend to are not read
// into its result: they may hold anything. Allocates nothing.
void attend(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch) noexcept;

// The same bits for one row and head from parts, each some of its chunks, computed in any order by any threads, and
// then joined. softmaxes: floats_of_chunk() for each chunk that the row attends to. The part that begins the row, up to
// the chunk `joined`, adds its chunks up; those of the others wait there until they are added, in order.
int64_t floats_of_chunk(const CacheShape& shape, int64_t group);
void attend_part(const Cache& cache, const AttentionTask& task, const Span& chunks, float* softmaxes,
                 AttentionScratch& scratch) noexcept;
void join_parts(const CacheShape& shape, const AttentionTask& task, int64_t joined, float* softmaxes) noexcept;

}  // namespace parley
