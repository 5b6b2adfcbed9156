#include "attention.h"

#include <algorithm>
#include <limits>

namespace parley {

int AttentionQuery::first_of(int64_t block) const {
  return int(std::clamp<int64_t>(begin - block * kLanes, 0, kLanes));
}

int AttentionQuery::last_of(int64_t block) const { return int(std::clamp<int64_t>(end - block * kLanes, 0, kLanes)); }

AttentionScratch::AttentionScratch(const CacheShape& shape, int64_t count)
  : sums(size_t(count * shape.padded())), keys(size_t(shape.key_items())), values(size_t(shape.value_items())) {
  queries.reserve(size_t(count));
}

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// How many queries meet a block together, in how many sums each adds up a score, and how many columns of the values
// they take at once: what they sum then fits in the registers.
constexpr int kTogether = kWidth == 16 ? 4 : 2;
constexpr int kSums = kWidth == 16 ? 4 : 2;
constexpr int kColumns = kWidth == 16 ? 4 : 2;

// How far behind a jump memory is asked for.
constexpr int64_t kJumpBytes = 8192;

// Adds the products of `sums` dimensions from d on, each to a sum of its own.
template <int count, int sums, typename Item>
inline void add_scores(const AttentionQuery* queries, const Item* keys, int64_t d, Lanes (*partial)[kSums]) {
  for (int s = 0; s < sums; ++s) {
    const Lanes key = load(keys + (d + s) * kLanes);
    for (int i = 0; i < count; ++i) partial[i][s] = fma(splat(queries[i].query[d + s]), key, partial[i][s]);
  }
}

// The scores of `count` queries with the sixteen keys of a block.
template <int count, typename Item>
inline void score(const AttentionQuery* queries, const Item* keys, int64_t head_dim, Lanes* scores) {
  Lanes partial[count][kSums];
  for (auto& sums : partial)
    for (auto& sum : sums) sum = splat(0);
  int64_t d = 0;
  for (; d + kSums <= head_dim; d += kSums) add_scores<count, kSums>(queries, keys, d, partial);
  if (d < head_dim) add_scores<count, 2>(queries, keys, d, partial);  // head_dim is even
  for (int i = 0; i < count; ++i) {
    for (int half = kSums / 2; half > 0; half /= 2)
      for (int s = 0; s < half; ++s) partial[i][s] = partial[i][s] + partial[i][s + half];
    scores[i] = partial[i][0];
  }
}

// A score greater than all before it: what was summed is scaled down to go with it.
void rescale(AttentionQuery& query, float greatest, int64_t padded) {
  const Lanes shrink = exp(splat(query.greatest) - splat(greatest));
  for (int64_t d = 0; d < padded; d += kLanes) store(query.sums + d, load(query.sums + d) * shrink);
  query.totals = query.totals * shrink;
  query.greatest = greatest;
}

// The weights of the positions from begin up to end of a block, relative to the greatest score so far.
inline void weigh(AttentionQuery& query, Lanes scores, int begin, int end, int64_t padded, float* weights) {
  if (begin > 0 || end < kLanes) scores = keep(scores, begin, end, -kInfinity);
  if (any_greater(scores, query.greatest)) rescale(query, greatest(scores), padded);
  const Lanes relative = exp(scores - splat(query.greatest));
  query.totals = query.totals + relative;
  store(weights, relative);
}

template <int count, int columns, typename Item>
inline void add_columns(AttentionQuery* queries, const float (*weights)[kLanes], const Item* values, int64_t padded,
                        int begin, int end, int64_t d) {
  Lanes sums[count][columns];
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < columns; ++c) sums[i][c] = load(queries[i].sums + d + c * kLanes);
  for (int j = begin; j < end; ++j) {
    Lanes row[columns];
    for (int c = 0; c < columns; ++c) row[c] = load(values + j * padded + d + c * kLanes);
    for (int i = 0; i < count; ++i)
      for (int c = 0; c < columns; ++c) sums[i][c] = fma(splat(weights[i][j]), row[c], sums[i][c]);
  }
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < columns; ++c) store(queries[i].sums + d + c * kLanes, sums[i][c]);
}

// `count` queries meet the positions from begin up to end of a block.
template <int count, typename Item>
void meet(AttentionQuery* queries, const Item* keys, const Item* values, const CacheShape& shape, int begin, int end) {
  Lanes scores[count];
  score<count>(queries, keys, shape.head_dim, scores);
  alignas(64) float weights[count][kLanes];
  const int64_t padded = shape.padded();
  for (int i = 0; i < count; ++i) weigh(queries[i], scores[i], begin, end, padded, weights[i]);
  int64_t d = 0;
  for (; d + kColumns * kLanes <= padded; d += kColumns * kLanes)
    add_columns<count, kColumns>(queries, weights, values, padded, begin, end, d);
  for (; d < padded; d += kLanes) add_columns<count, 1>(queries, weights, values, padded, begin, end, d);
}

// Queries that attend to the same positions of a block meet it together.
template <typename Item>
void meet_block(AttentionQuery* queries, int64_t total, int64_t block, const Item* keys, const Item* values,
                const CacheShape& shape) {
  for (int64_t i = 0, count; i < total; i += count) {
    AttentionQuery* group = &queries[i];
    const int begin = group->first_of(block), end = group->last_of(block);
    const auto alike = [&](auto& other) { return other.first_of(block) == begin && other.last_of(block) == end; };
    for (count = 1; count < kTogether && i + count < total && alike(group[count]);) ++count;
    if (begin >= end) continue;
    if (count == 1) meet<1>(group, keys, values, shape, begin, end);
    if (count == 2) meet<2>(group, keys, values, shape, begin, end);
    if constexpr (kTogether == 4) {
      if (count == 3) meet<3>(group, keys, values, shape, begin, end);
      if (count == 4) meet<4>(group, keys, values, shape, begin, end);
    }
  }
}

// Lists the queries of the task by heads of keys, then by rows.
void prepare(const CacheShape& shape, const AttentionTask& task, AttentionScratch& scratch) {
  const int64_t padded = shape.padded();
  std::fill_n(scratch.sums.begin(), task.heads * task.rows * task.group * padded, 0.0f);
  scratch.queries.clear();
  for (int64_t head = 0; head < task.heads; ++head)
    for (int64_t row = 0; row < task.rows; ++row) {
      const int64_t end = task.positions[row] + 1, begin = task.reach ? std::max<int64_t>(0, end - task.reach) : 0;
      for (int64_t i = head * task.group; i < (head + 1) * task.group; ++i) {
        const float* query = task.queries + row * task.query_stride + i * shape.head_dim;
        float* output = task.outputs + row * task.output_stride + i * shape.head_dim;
        float* sums = &scratch.sums[scratch.queries.size() * size_t(padded)];
        scratch.queries.push_back({query, sums, output, begin, end, -kInfinity, splat(0)});
      }
    }
}

template <typename Item>
void widen(const Item* items, int64_t count, float* wide) {
  for (int64_t i = 0; i < count; i += kLanes) store(wide + i, load(items + i));
}

template <typename Item>
void prefetch(const Item* items, int64_t count) {
  for (int64_t i = 0; i < count; i += int64_t(simd::kCacheLine / sizeof(Item))) simd::prefetch(items + i);
}

// All the heads of a block, then those of the next: in the order in which they lie in memory.
template <typename Item>
void attend_items(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch) {
  const CacheShape& shape = cache.shape();
  prepare(shape, task, scratch);
  const auto keys = [&](int64_t block, int64_t head) { return cache.keys<Item>(task.layer, task.blocks[block], head); };
  const auto values = [&](int64_t block, int64_t head) {
    return cache.values<Item>(task.layer, task.blocks[block], head);
  };
  const int64_t count = task.rows * task.group, last = task.head + task.heads - 1;
  const int64_t begin = scratch.queries.front().begin / kLanes;
  const int64_t end = (scratch.queries.back().end + kLanes - 1) / kLanes;
  // When many queries meet a block of half precision it is widened once for all of them.
  const bool widens = sizeof(Item) < sizeof(float) && count > 2 * kTogether;
  for (int64_t block = begin; block < end; ++block)
    for (int64_t head = task.head; head <= last; ++head) {
      // What lies next in memory the processor fetches by itself, once it has seen some reads. A jump it cannot see.
      const bool near = (head - task.head) * shape.key_items() * int64_t(sizeof(Item)) < kJumpBytes;
      if (near && block + 1 < end && keys(block + 1, task.head) != keys(block, last) + shape.key_items()) {
        prefetch(keys(block + 1, head), shape.key_items());
        prefetch(values(block + 1, head), shape.value_items());
      }
      AttentionQuery* queries = &scratch.queries[size_t((head - task.head) * count)];
      if (widens) {
        widen(keys(block, head), shape.key_items(), scratch.keys.data());
        widen(values(block, head), shape.value_items(), scratch.values.data());
        meet_block<float>(queries, count, block, scratch.keys.data(), scratch.values.data(), shape);
      } else {
        meet_block<Item>(queries, count, block, keys(block, head), values(block, head), shape);
      }
    }
  for (const auto& query : scratch.queries) {
    const float total = sum(query.totals);
    for (int64_t d = 0; d < shape.head_dim; ++d) query.output[d] = query.sums[d] / total;
  }
}

}  // namespace

void attend(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch) noexcept {
  if (cache.shape().half)
    attend_items<Half>(cache, task, scratch);
  else
    attend_items<float>(cache, task, scratch);
}

}  // namespace parley
