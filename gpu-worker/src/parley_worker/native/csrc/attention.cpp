#include "attention.h"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>

#include "products.h"
#include "softmax.h"

namespace parley {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504f;

// How many queries meet how many blocks, or columns of the values, at once: their sums fit in the registers.
constexpr int kTogether = kWidth == 16 ? 6 : 2;
constexpr int kVectors = kWidth == 16 ? 4 : 2;
constexpr int64_t kBlocks = kChunk / kLanes;  // of a chunk

// Some positions of a block's values: `steps` steps from `values` on. ahead: as much of the next chunk's keys.
template <class Kind>
struct Piece {
  const typename Kind::Item *values, *ahead;
  int64_t steps;
};

// The positions that some queries see of a chunk. What lies beside them in a step with another is left out of it.
template <class Kind>
struct Pieces {
  int64_t begin;  // of the first step, in positions of the chunk
  int count = 0;
  Piece<Kind> pieces[kBlocks + 2];
};

// The scores [kChunk from one query to the next] of some queries with `vectors` blocks of keys. ahead: their values.
template <class Kind, bool asks, int count, int vectors>
void score(const typename Kind::Item* queries, int64_t head_dim, const typename Kind::Item* const* keys,
           const typename Kind::Item* const* ahead, float* scores) {
  Sums<count, vectors> sums;
  const auto from = [](const auto* blocks) { return [=](int v) { return blocks[v]; }; };
  add_products<Kind, asks>(sums, queries, head_dim, from(keys), from(ahead), kLanes * Kind::kDepth,
                           head_dim / Kind::kDepth);
  sums.store(scores, kChunk);
}

// The sums [stride from one query to the next] of `vectors` columns of the values by the weights of some queries.
template <class Kind, bool asks, int count, int vectors>
void gather(const typename Kind::Item* weights, const Pieces<Kind>& seen, int64_t padded, int64_t column, float* out,
            int64_t stride) {
  Sums<count, vectors> sums;
  weights += seen.begin;
  for (int p = 0; p < seen.count; ++p) {
    const Piece<Kind>& piece = seen.pieces[p];
    const auto from = [&](const auto* begin) {
      return [=](int v) { return begin + (column + v * kLanes) * Kind::kDepth; };
    };
    add_products<Kind, asks>(sums, weights, kChunk, from(piece.values), from(piece.ahead),
                             padded * Kind::kDepth, piece.steps);
    weights += piece.steps * Kind::kDepth;
  }
  sums.store(out + column, stride);
}

// For each number of queries from 1 to kTogether.
template <class Kind, bool asks, int vectors>
constexpr auto kScore = []<size_t... i>(std::index_sequence<i...>) {
  return std::array{&score<Kind, asks, int(i) + 1, vectors>...};
}(std::make_index_sequence<kTogether>());

template <class Kind, bool asks, int vectors>
constexpr auto kGather = []<size_t... i>(std::index_sequence<i...>) {
  return std::array{&gather<Kind, asks, int(i) + 1, vectors>...};
}(std::make_index_sequence<kTogether>());

// Calls work(first, count) for equal parts of no more than kTogether.
template <class Work>
void in_groups(int64_t begin, int64_t end, Work&& work) {
  const int64_t parts = (end - begin + kTogether - 1) / kTogether;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = begin + (end - begin) * part / parts, last = begin + (end - begin) * (part + 1) / parts;
    work(first, last - first);
  }
}

template <class Kind>
class Attention {
  using Item = typename Kind::Item;

 public:
  Attention(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch)
    : cache_(cache),
     task_(task),
     shape_(cache.shape()),
     scratch_(scratch),
     padded_(shape_.padded()),
     count_(task.rows * task.group),
     chunk_(scratch.chunk.data()),
     all_(scratch.all.data()),
     weights_(reinterpret_cast<Item*>(scratch.weights.data())),
     queries_(reinterpret_cast<Item*>(scratch.queries.data())),
     edges_(reinterpret_cast<Item*>(scratch.edges.data())) {}

  void run() {
    add_up({chunks_of(row(0)).begin, chunks_of(row(task_.rows - 1)).end});
    finish();
  }

  void run_part(const Span& chunks, float* softmaxes) {
    const int64_t begin = chunks_of(row(0)).begin;
    if (chunks.begin == begin) {
      all_ = softmaxes;
      return add_up(chunks);
    }
    prepare();
    for (int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
      chunk_ = softmaxes + (chunk - begin) * floats_of_chunk(shape_, task_.group);
      meet(chunk, chunks.end);
    }
  }

 private:
  Softmax of_chunk(int64_t query) const { return {chunk_ + query * Softmax::size(padded_), padded_}; }
  Softmax of_all(int64_t query) const { return {all_ + query * Softmax::size(padded_), padded_}; }

  // The positions that a row attends to.
  Span row(int64_t row) const { return seen_from(task_.positions[row], task_.reach); }

  void add_up(const Span& chunks) {
    prepare();
    for (int64_t query = 0; query < task_.heads * count_; ++query) of_all(query).clear();
    for (int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
      meet(chunk, chunks.end);
      for (int64_t query = 0; query < task_.heads * count_; ++query)
        if (!scratch_.seen[size_t(query % count_)].empty()) of_all(query).add(of_chunk(query));
    }
  }

  // Lists the queries by heads of keys, then by rows.
  void prepare() {
    Item* to = queries_;
    for (int64_t head = 0; head < task_.heads; ++head)
      for (int64_t row = 0; row < task_.rows; ++row) {
        const float* from = task_.queries + row * task_.query_stride + head * task_.group * shape_.head_dim;
        for (int64_t i = 0; i < task_.group * shape_.head_dim; ++i) put(to++, from[i] * kLog2E);
      }
  }

  // What of a chunk each query sees.
  void look(int64_t chunk) {
    scratch_.seen.resize(size_t(count_));
    for (int64_t i = 0; i < task_.rows; ++i) {
      const Span span = row(i);
      const auto within = [&](int64_t position) { return std::clamp<int64_t>(position - chunk * kChunk, 0, kChunk); };
      std::fill_n(&scratch_.seen[size_t(i * task_.group)], task_.group, Span{within(span.begin), within(span.end)});
    }
  }

  // Makes the softmaxes of a chunk. end: of those that follow.
  void meet(int64_t chunk, int64_t end) {
    look(chunk);
    find(chunk, end);
    score_all();
    for (int64_t head = 0; head < task_.heads; ++head) {
      weigh_all(head);
      gather_all(head);
    }
  }

  // Where the blocks of a chunk are, and the keys of the next, or else some that are there.
  void find(int64_t chunk, int64_t end) {
    count_of_blocks_ = (scratch_.seen.back().end + kLanes - 1) / kLanes;
    const int64_t first = chunk * kBlocks, last = (std::min(row(task_.rows - 1).end, end * kChunk) - 1) / kLanes;
    for (int64_t i = 0; i < kBlocks; ++i) {
      const int64_t block = task_.blocks[std::min(first + i, last)];
      const int64_t next = task_.blocks[std::min(first + kBlocks + i, last)];
      blocks_[0][i] = cache_.keys<Item>(task_.layer, block, task_.head);
      blocks_[1][i] = cache_.values<Item>(task_.layer, block, task_.head);
      blocks_[2][i] = cache_.keys<Item>(task_.layer, next, task_.head);
    }
  }

  // Of those who read something one after the other, the first asks for what is read next.
  static const auto& score_of(int64_t vectors, bool asks) {
    if (asks) return vectors == 1 ? kScore<Kind, true, 1> : kScore<Kind, true, kVectors>;
    return vectors == 1 ? kScore<Kind, false, 1> : kScore<Kind, false, kVectors>;
  }
  static const auto& gather_of(int64_t vectors, bool asks) {
    if (asks) return vectors == 1 ? kGather<Kind, true, 1> : kGather<Kind, true, kVectors>;
    return vectors == 1 ? kGather<Kind, false, 1> : kGather<Kind, false, kVectors>;
  }

  // All heads of some blocks, then of the next: in the order in which they lie in memory.
  void score_all() {
    for (int64_t block = 0, vectors; block < count_of_blocks_; block += vectors) {
      vectors = block + kVectors <= count_of_blocks_ ? kVectors : 1;
      for (int64_t head = 0; head < task_.heads; ++head) {
        const Item *keys[kVectors], *values[kVectors];
        for (int64_t v = 0; v < vectors; ++v) {
          keys[v] = blocks_[0][block + v] + head * shape_.key_items();
          values[v] = blocks_[1][block + v] + head * shape_.value_items();
        }
        in_groups(0, count_, [&](int64_t first, int64_t count) {
          const Span &front = scratch_.seen[size_t(first)], &back = scratch_.seen[size_t(first + count - 1)];
          if (back.end <= block * kLanes || front.begin >= (block + vectors) * kLanes) return;
          const int64_t query = head * count_ + first;
          const auto kernel = score_of(vectors, first == 0)[size_t(count - 1)];
          kernel(queries_ + query * shape_.head_dim, shape_.head_dim, keys, values,
                 scratch_.scores.data() + query * kChunk + block * kLanes);
        });
      }
    }
  }

  // The weights of the positions that each query sees, and zeros beside them in their blocks. The greatest scores of
  // all come first: what one query waits for is time for the next.
  void weigh_all(int64_t head) {
    each_seen(head, [&](int64_t query, const Span& blocks, auto count, const Span& seen) {
      float* const scores = scratch_.scores.data() + query * kChunk;
      mask(scores, blocks.begin * kLanes, seen);
      mask(scores, (blocks.end - 1) * kLanes, seen);
      of_chunk(query).greatest() = greatest_of(scores + blocks.begin * kLanes, count);
    });
    each_seen(head, [&](int64_t query, const Span& blocks, auto count, const Span&) {
      const int64_t first = query * kChunk + blocks.begin * kLanes;
      const Softmax to = of_chunk(query);
      to.total() = weigh<Kind>(scratch_.scores.data() + first, count, to.greatest(), weights_ + first);
    });
  }

  // Calls work(query, blocks, how many, positions) for each query that sees some of the chunk.
  template <class Work>
  void each_seen(int64_t head, Work&& work) {
    for (int64_t i = 0; i < count_; ++i) {
      const Span& seen = scratch_.seen[size_t(i)];
      const Span blocks{seen.begin / kLanes, (seen.end + kLanes - 1) / kLanes};
      if (seen.empty()) continue;
      if (blocks.size() == kBlocks)
        work(head * count_ + i, blocks, std::integral_constant<int64_t, kBlocks>(), seen);
      else
        work(head * count_ + i, blocks, blocks.size(), seen);
    }
  }

  // Of the block that begins at a position.
  void mask(float* scores, int64_t block, const Span& seen) {
    if (block >= seen.begin && block + kLanes <= seen.end) return;
    store(scores + block, keep(load(scores + block), int(seen.begin - block), int(seen.end - block), -kInfinity));
  }

  void gather_all(int64_t head) {
    const auto& seen = scratch_.seen;
    for (int64_t begin = 0, end; begin < count_; begin = end) {
      for (end = begin + 1; end < count_ && seen[size_t(end)] == seen[size_t(begin)];) ++end;
      if (seen[size_t(begin)].empty()) continue;
      const Pieces<Kind> pieces = cut(seen[size_t(begin)], head);
      for (int64_t column = 0, vectors; column < padded_; column += vectors * kLanes) {
        vectors = column + kVectors * kLanes <= padded_ ? kVectors : 1;
        in_groups(begin, end, [&](int64_t first, int64_t count) {
          const int64_t query = head * count_ + first;
          const auto kernel = gather_of(vectors, first == begin)[size_t(count - 1)];
          kernel(weights_ + query * kChunk, pieces, padded_, column, of_chunk(query).sums, Softmax::size(padded_));
        });
      }
    }
  }

  Pieces<Kind> cut(const Span& seen, int64_t head) {
    constexpr int64_t depth = Kind::kDepth;
    Pieces<Kind> result{seen.begin / depth * depth};
    for (int64_t at = result.begin, end; at < seen.end; at = end) {
      const int64_t block = at / kLanes, offset = at % kLanes * padded_;
      Piece<Kind> piece{blocks_[1][block] + head * shape_.value_items() + offset,
                        blocks_[2][block] + head * shape_.key_items() + offset, 1};
      if (at < seen.begin || at + depth > seen.end) {
        end = at + depth;
        piece.values = copy_half(piece.values, at < seen.begin, result.count > 0);
      } else {
        end = std::min((block + 1) * kLanes, seen.end / depth * depth);
        piece.steps = (end - at) / depth;
      }
      result.pieces[result.count++] = piece;
    }
    return result;
  }

  // One of two positions, and zeros for the other.
  const Item* copy_half(const Item* from, bool second, bool at_end) {
    Item* to = edges_ + at_end * padded_ * Kind::kDepth;
    for (int64_t i = 0; i < padded_ * Kind::kDepth; ++i) to[i] = i % Kind::kDepth == second ? from[i] : Item(0);
    return to;
  }

  void finish() {
    for (int64_t row = 0; row < task_.rows; ++row)
      for (int64_t i = 0; i < task_.heads * task_.group; ++i) {
        const int64_t query = i / task_.group * count_ + row * task_.group + i % task_.group;
        of_all(query).write(task_.outputs + row * task_.output_stride + i * shape_.head_dim, shape_.head_dim);
      }
  }

  const Cache& cache_;
  const AttentionTask& task_;
  const CacheShape& shape_;
  AttentionScratch& scratch_;
  int64_t padded_, count_;  // `count_` queries meet each head
  float *chunk_, *all_;  // softmaxes of all queries
  Item *weights_, *queries_, *edges_;
  int64_t count_of_blocks_ = 0;
  const Item* blocks_[3][kBlocks];  // keys, values, and the keys of the next chunk
};

}  // namespace

AttentionScratch::AttentionScratch(const CacheShape& shape, int64_t count) {
  const int64_t softmaxes = count * Softmax::size(shape.padded());
  queries.reserve(count * shape.head_dim * shape.item_bytes());
  weights.reserve(count * kChunk * shape.item_bytes());
  edges.reserve(2 * shape.padded() * 2 * shape.item_bytes());
  scores.reserve(count * kChunk);
  chunk.reserve(softmaxes);
  all.reserve(softmaxes);
  seen.reserve(size_t(count));
}

void attend(const Cache& cache, const AttentionTask& task, AttentionScratch& scratch) noexcept {
  if (cache.shape().bf16)
    Attention<Pairs>(cache, task, scratch).run();
  else
    Attention<Singles>(cache, task, scratch).run();
}

int64_t floats_of_chunk(const CacheShape& shape, int64_t group) { return group * Softmax::size(shape.padded()); }

void attend_part(const Cache& cache, const AttentionTask& task, const Span& chunks, float* softmaxes,
                 AttentionScratch& scratch) noexcept {
  if (cache.shape().bf16)
    Attention<Pairs>(cache, task, scratch).run_part(chunks, softmaxes);
  else
    Attention<Singles>(cache, task, scratch).run_part(chunks, softmaxes);
}

void join_parts(const CacheShape& shape, const AttentionTask& task, int64_t joined, float* softmaxes) noexcept {
  const Span chunks = chunks_of(seen_from(task.positions[0], task.reach));
  for (int64_t i = 0; i < task.group; ++i) {
    const auto at = [&](int64_t chunk) {
      float* const first = softmaxes + (chunk - chunks.begin) * floats_of_chunk(shape, task.group);
      return Softmax{first + i * Softmax::size(shape.padded()), shape.padded()};
    };
    const Softmax all = at(chunks.begin);
    for (int64_t chunk = joined; chunk < chunks.end; ++chunk) all.add(at(chunk));
    all.write(task.outputs + i * shape.head_dim, shape.head_dim);
  }
}

}  // namespace parley
