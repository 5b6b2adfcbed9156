#include "decoder.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "elementwise.h"

namespace parley {

namespace {

struct Share {
  int64_t begin, end;
};

// What one of the threads does of `count` equal pieces of work.
Share share(int64_t count, int thread, int threads) {
  return {count * thread / threads, count * (thread + 1) / threads};
}

void check_within(const char* what, int64_t value, int64_t limit) {
  if (value >= 0 && value < limit) return;
  throw std::invalid_argument(std::string(what) + " " + std::to_string(value) + " is not within 0 to " +
                              std::to_string(limit - 1));
}

bool is_int8(const Matrix& matrix) { return matrix.format() == Format::int8; }

}  // namespace

Decoder::Decoder(const DecoderShape& shape, const DecoderWeights& weights, Cache& cache, Pool& pool)
  : shape_(shape),
   weights_(weights),
   layers_(weights.layers, weights.layers + shape.layers),
   cache_(cache),
   pool_(pool),
   hidden_stride_(row_stride(shape.hidden_size)),
   qkv_stride_(row_stride((shape.heads + 2 * shape.kv_heads) * shape.head_dim)),
   gate_up_stride_(row_stride(2 * shape.intermediate_size)),
   widest_(std::max({shape.hidden_size, shape.intermediate_size, shape.heads * shape.head_dim})),
   claimed_(size_t(shape.layers)) {}

void Decoder::execute(const Batch& batch, float* scores) {
  check(batch);
  prepare(batch);
  pool_.fork([&](int thread, int threads) { run(batch, scores, thread, threads); });
}

// Whatever could make a step read or write elsewhere ends here.
void Decoder::check(const Batch& batch) const {
  for (int64_t row = 0; row < batch.rows; ++row) {
    check_within("token", batch.tokens[row], shape_.vocab_size);
    check_within("position", batch.positions[row], batch.block_stride * kLanes);
    check_within("angle", batch.angle_of[row], batch.angles);
  }
  for (int64_t draw = 0; draw < batch.draws; ++draw) {
    check_within("draw", batch.drawn[draw], batch.rows);
    // So there are no more draws than rows, which is what the intermediate results have room for.
    if (draw > 0 && batch.drawn[draw] <= batch.drawn[draw - 1])
      throw std::invalid_argument("the draws do not ascend");
  }
  if (batch.starts[0] != 0 || batch.starts[batch.segments] != batch.rows)
    throw std::invalid_argument("the segments are not of all rows");
  for (int64_t segment = 0; segment < batch.segments; ++segment) {
    const int64_t begin = batch.starts[segment], end = batch.starts[segment + 1];
    if (begin >= end || end > batch.rows) throw std::invalid_argument("a segment has no rows");
    for (int64_t row = begin + 1; row < end; ++row)
      if (batch.positions[row] != batch.positions[row - 1] + 1)
        throw std::invalid_argument("the positions of a segment do not follow each other");
    const int32_t* blocks = batch.blocks + segment * batch.block_stride;
    for (int64_t block = 0; block <= batch.positions[end - 1] / kLanes; ++block)
      check_within("block", blocks[block], cache_.shape().blocks);
  }
}

void Decoder::prepare(const Batch& batch) {
  hidden_.reserve(batch.rows * hidden_stride_);
  drawn_.reserve(batch.draws * hidden_stride_);
  inputs_.reserve(batch.rows * row_stride(widest_));
  codes_.reserve(batch.rows * code_stride(widest_));
  scales_.reserve(batch.rows);
  qkv_.reserve(batch.rows * qkv_stride_);
  gate_up_.reserve(batch.rows * gate_up_stride_);
  const int64_t group = shape_.heads / shape_.kv_heads;
  while (int(scratch_.size()) < pool_.threads())
    scratch_.emplace_back(cache_.shape(), std::max(rows_of_tile(group) * group, shape_.heads));
  const Tiling tiling{group, shape_.kv_heads, pool_.threads()};
  tiling.list_all(batch, tiles_);
  tiling.list_drawn(batch, drawn_tiles_);
  for (auto& claimed : claimed_) claimed.store(0, std::memory_order_relaxed);
}

void Decoder::run(const Batch& batch, float* scores, int thread, int threads) noexcept {
  embed(batch, thread, threads);
  pool_.barrier();
  const Rest all{hidden_.data(), batch.rows, tiles_}, drawn{drawn_.data(), batch.draws, drawn_tiles_};
  for (int64_t index = 0; index < shape_.layers; ++index) {
    place_layer(batch, index, thread, threads);
    const bool last = index + 1 == shape_.layers;
    if (last) take_drawn(batch, thread, threads);
    pool_.barrier();
    run_layer(batch, index, last ? drawn : all, thread, threads);
  }
  const auto [begin, end] = share(batch.draws, thread, threads);
  for (int64_t draw = begin; draw < end; ++draw)
    normalize_row(drawn_.data() + draw * hidden_stride_, weights_.norm, *weights_.head, draw);
  pool_.barrier();
  const Rows rows = inputs_of(*weights_.head, batch.draws);
  multiply(*weights_.head, rows, scores, shape_.vocab_size, false, thread, threads);
}

void Decoder::take_drawn(const Batch& batch, int thread, int threads) noexcept {
  const auto [begin, end] = share(batch.draws, thread, threads);
  for (int64_t draw = begin; draw < end; ++draw)
    std::copy_n(hidden_.data() + batch.drawn[draw] * hidden_stride_, shape_.hidden_size,
                drawn_.data() + draw * hidden_stride_);
}

void Decoder::embed(const Batch& batch, int thread, int threads) noexcept {
  const auto [begin, end] = share(batch.rows, thread, threads);
  for (int64_t row = begin; row < end; ++row)
    weights_.embedding->unpack(batch.tokens[row], hidden_.data() + row * hidden_stride_);
}

// The queries, keys and values of all rows. The caller waits for all threads behind it.
void Decoder::place_layer(const Batch& batch, int64_t index, int thread, int threads) noexcept {
  const LayerWeights& layer = layers_[size_t(index)];
  const auto [begin, end] = share(batch.rows, thread, threads);
  for (int64_t row = begin; row < end; ++row)
    normalize_row(hidden_.data() + row * hidden_stride_, layer.attention_norm, *layer.qkv, row);
  pool_.barrier();
  multiply(*layer.qkv, inputs_of(*layer.qkv, batch.rows), qkv_.data(), qkv_stride_, false, thread, threads);
  pool_.barrier();
  // By heads, then rows: neighbouring rows write to the same cache lines of their block.
  const auto [first, last] = share(batch.rows * shape_.kv_heads, thread, threads);
  for (int64_t piece = first; piece < last; ++piece) place(batch, index, piece % batch.rows, piece / batch.rows);
}

void Decoder::run_layer(const Batch& batch, int64_t index, const Rest& rest, int thread, int threads) noexcept {
  const LayerWeights& layer = layers_[size_t(index)];
  attend_tiles(batch, index, rest.tiles, thread);
  pool_.barrier();
  if (is_int8(*layer.output)) {
    const int64_t stride = row_stride(layer.output->inputs());
    const auto [begin, end] = share(rest.rows, thread, threads);
    for (int64_t row = begin; row < end; ++row) quantize_row(inputs_.data() + row * stride, *layer.output, row);
    pool_.barrier();
  }
  multiply(*layer.output, inputs_of(*layer.output, rest.rows), rest.hidden, hidden_stride_, true, thread, threads);
  pool_.barrier();
  run_mlp(layer, rest, thread, threads);
}

void Decoder::run_mlp(const LayerWeights& layer, const Rest& rest, int thread, int threads) noexcept {
  const auto [begin, end] = share(rest.rows, thread, threads);
  for (int64_t row = begin; row < end; ++row)
    normalize_row(rest.hidden + row * hidden_stride_, layer.mlp_norm, *layer.gate_up, row);
  pool_.barrier();
  const Rows inputs = inputs_of(*layer.gate_up, rest.rows);
  multiply(*layer.gate_up, inputs, gate_up_.data(), gate_up_stride_, false, thread, threads);
  pool_.barrier();
  for (int64_t row = begin; row < end; ++row) {
    float* gate = gate_up_.data() + row * gate_up_stride_;
    activate(gate, gate + shape_.intermediate_size, shape_.intermediate_size);
    if (is_int8(*layer.down)) quantize_row(gate, *layer.down, row);
  }
  pool_.barrier();
  Rows activated = inputs_of(*layer.down, rest.rows);
  activated.values = gate_up_.data();
  activated.value_stride = gate_up_stride_;
  multiply(*layer.down, activated, rest.hidden, hidden_stride_, true, thread, threads);
  pool_.barrier();
}

// A normalized row becomes an input of a matrix, in the form that the matrix multiplies.
void Decoder::normalize_row(const float* row, const float* weight, const Matrix& matrix, int64_t to) noexcept {
  float* input = inputs_.data() + to * row_stride(matrix.inputs());
  normalize(row, weight, shape_.hidden_size, float(shape_.epsilon), input);
  if (is_int8(matrix)) quantize_row(input, matrix, to);
}

void Decoder::quantize_row(const float* row, const Matrix& matrix, int64_t to) noexcept {
  const int64_t inputs = matrix.inputs();
  scales_.data()[to] = quantize(row, inputs, codes_.data() + to * code_stride(inputs));
}

Rows Decoder::inputs_of(const Matrix& matrix, int64_t count) const {
  const int64_t inputs = matrix.inputs();
  return {count, inputs_.data(), row_stride(inputs), codes_.data(), code_stride(inputs), scales_.data()};
}

// Normalizes and rotates the heads of a row that share keys and values, and puts these into their block.
void Decoder::place(const Batch& batch, int64_t index, int64_t row, int64_t head) noexcept {
  const LayerWeights& layer = layers_[size_t(index)];
  const int64_t size = shape_.head_dim, group = shape_.heads / shape_.kv_heads;
  float* heads = qkv_.data() + row * qkv_stride_;
  float* queries = heads + head * group * size;
  float* key = heads + (shape_.heads + head) * size;
  const float* value = heads + (shape_.heads + shape_.kv_heads + head) * size;
  const int64_t angle = batch.angle_of[row] * size;
  const float epsilon = float(shape_.epsilon), scale = 1.0f / std::sqrt(float(size));
  const auto turn = [&](float* one, const float* norm) {
    if (norm != nullptr) normalize(one, norm, size, epsilon, one);
    if (layer.rotates) rotate(one, batch.cos + angle, batch.sin + angle, size);
  };
  for (int64_t i = 0; i < group; ++i) turn(queries + i * size, layer.query_norm);
  for (int64_t i = 0; i < group * size; ++i) queries[i] *= scale;
  turn(key, layer.key_norm);
  const auto* after = std::upper_bound(batch.starts, batch.starts + batch.segments + 1, int32_t(row));
  const int64_t segment = after - batch.starts - 1, position = batch.positions[row];
  cache_.put(index, batch.blocks[segment * batch.block_stride + position / kLanes], head, position % kLanes, key,
       value);
}

// Tiles are claimed one by one: which thread computes them changes nothing.
void Decoder::attend_tiles(const Batch& batch, int64_t index, const std::vector<Tile>& tiles, int thread) noexcept {
  const LayerWeights& layer = layers_[size_t(index)];
  const int64_t group = shape_.heads / shape_.kv_heads, stride = row_stride(layer.output->inputs());
  auto& claimed = claimed_[size_t(index)];
  for (size_t i; (i = size_t(claimed.fetch_add(1, std::memory_order_relaxed))) < tiles.size();) {
    const Tile& tile = tiles[i];
    const int64_t first = tile.head * group * shape_.head_dim;
    attend(cache_,
           {index, tile.head, tile.heads, group, tile.rows, layer.reach,
            qkv_.data() + tile.row * qkv_stride_ + first, qkv_stride_, batch.positions + tile.row,
            batch.blocks + tile.segment * batch.block_stride, inputs_.data() + tile.to * stride + first, stride},
           scratch_[size_t(thread)]);
  }
}

}  // namespace parley
