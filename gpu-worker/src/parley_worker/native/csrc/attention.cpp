#include "attention.h"

#include <algorithm>
#include <limits>

namespace parley {

int AttentionQuery::first_of(int64_t block) const { return int(std::clamp<int64_t>(begin - block * kLanes, 0, kLanes)); }

int AttentionQuery::last_of(int64_t block) const { return int(std::clamp<int64_t>(end - block * kLanes, 0, kLanes)); }

bool AttentionQuery::has_all_of(int64_t block) const { return begin <= block * kLanes && end >= (block + 1) * kLanes; }

AttentionScratch::AttentionScratch(const CacheShape& shape, int64_t count)
  : sums(size_t(count * shape.padded())), keys(size_t(shape.key_items())), values(size_t(shape.value_items())) {
  queries.reserve(size_t(count));
}

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Queries that meet a block together; their sums have to fit in the registers.
constexpr int kTogether = kWidth == 16 ? 4 : 2;
constexpr int kColumns = kWidth == 16 ? 2 : 1;

// The scores of `count` queries with the sixteen keys of a block. Even and odd dimensions are summed apart.
template <int count, typename Item>
void score(AttentionQuery* queries, const Item* keys, int64_t head_dim, Lanes* scores) {
  Lanes even[count], odd[count];
  for (int i = 0; i < count; ++i) even[i] = odd[i] = splat(0);
  for (int64_t d = 0; d < head_dim; d += 2) {  // head_dim is even
    const Lanes first = load(keys + d * kLanes), second = load(keys + (d + 1) * kLanes);
    for (int i = 0; i < count; ++i) {
      even[i] = fma(splat(queries[i].query[d]), first, even[i]);
      odd[i] = fma(splat(queries[i].query[d + 1]), second, odd[i]);
    }
  }
  for (int i = 0; i < count; ++i) scores[i] = even[i] + odd[i];
}

// The weights of the positions from begin up to end of a block; what the query summed before is scaled to go with them.
void weigh(AttentionQuery& query, Lanes scores, int begin, int end, int64_t padded, float* weights) {
  if (begin > 0 || end < kLanes) scores = keep(scores, begin, end, -kInfinity);
  const float greatest = std::max(query.greatest, parley::greatest(scores));
  const Lanes relative = exp(scores - splat(greatest));
  if (greatest != query.greatest) {
    const Lanes shrink = exp(splat(query.greatest) - splat(greatest));
    for (int64_t d = 0; d < padded; d += kLanes) store(query.sums + d, load(query.sums + d) * shrink);
    float factor[kLanes];
    store(factor, shrink);
    query.total *= factor[0];
  }
  query.greatest = greatest;
  query.total += sum(relative);
  store(weights, relative);
}

template <int count, int columns, typename Item>
void add_columns(AttentionQuery* queries, const float (*weights)[kLanes], const Item* values, int64_t padded, int begin,
        int end, int64_t d) {
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

template <typename Item>
void meet_block(std::vector<AttentionQuery>& queries, int64_t block, const Item* keys, const Item* values,
        const CacheShape& shape) {
  for (size_t i = 0; i < queries.size();) {
    const size_t left = std::min<size_t>(kTogether, queries.size() - i);
    AttentionQuery* group = &queries[i];
    if (left == kTogether && std::all_of(group, group + left, [&](auto& query) { return query.has_all_of(block); })) {
      meet<kTogether>(group, keys, values, shape, 0, kLanes);
      i += kTogether;
      continue;
    }
    const int begin = group->first_of(block), end = group->last_of(block);
    if (begin < end) meet<1>(group, keys, values, shape, begin, end);
    ++i;
  }
}

// A block in float32: itself, or a copy when it is half precision and many queries would each widen it.
template <typename Item>
void meet_widened(std::vector<AttentionQuery>& queries, int64_t block, const Item* keys, const Item* values,
         const CacheShape& shape, AttentionScratch& scratch) {
  for (int64_t i = 0; i < shape.key_items(); i += kLanes) store(&scratch.keys[i], load(keys + i));
  for (int64_t i = 0; i < shape.value_items(); i += kLanes) store(&scratch.values[i], load(values + i));
  meet_block<float>(queries, block, scratch.keys.data(), scratch.values.data(), shape);
}

void prepare(const CacheShape& shape, const AttentionTask& task, AttentionScratch& scratch) {
  const int64_t padded = shape.padded();
  std::fill_n(scratch.sums.begin(), task.rows * task.group * padded, 0.0f);
  scratch.queries.clear();
  for (int64_t row = 0; row < task.rows; ++row) {
    const int64_t end = task.positions[row] + 1, begin = task.reach ? std::max<int64_t>(0, end - task.reach) : 0;
    for (int64_t head = 0; head < task.group; ++head) {
      const float* query = task.queries + row * task.query_stride + head * shape.head_dim;
      float* output = task.outputs + row * task.output_stride + head * shape.head_dim;
      float* sums = &scratch.sums[scratch.queries.size() * size_t(padded)];
      scratch.queries.push_back({query, sums, output, begin, end, -kInfinity, 0.0f});
    }
  }
}

template <typename Item>
void attend_items(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch) {
  const CacheShape& shape = cache.shape();
  prepare(shape, task, scratch);
  auto& queries = scratch.queries;
  const int64_t end = (queries.back().end + kLanes - 1) / kLanes;
  const bool widens = sizeof(Item) < sizeof(float) && queries.size() > 2 * kTogether;
  for (int64_t block = queries.front().begin / kLanes; block < end; ++block) {
    const Item* keys = cache.keys<Item>(task.layer, task.blocks[block], task.head);
    const Item* values = cache.values<Item>(task.layer, task.blocks[block], task.head);
    if (widens)
      meet_widened(queries, block, keys, values, shape, scratch);
    else
      meet_block(queries, block, keys, values, shape);
  }
  for (const auto& query : queries)
    for (int64_t d = 0; d < shape.head_dim; ++d) query.output[d] = query.sums[d] / query.total;
}

}  // namespace

void attend(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch) noexcept {
  if (cache.shape().half)
    attend_items<Half>(cache, task, scratch);
  else
    attend_items<float>(cache, task, scratch);
}

}  // namespace parley
