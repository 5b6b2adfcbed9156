#include "decoder.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "elementwise.h"

namespace parley {

namespace {

// So few rows each thread prepares for itself: that takes less time than to wait for others. Measured on two threads.
constexpr int64_t kFewRows = 2;

void check_within(const char* what, int64_t value, int64_t limit) {
  if (value >= 0 && value < limit) return;
  throw std::invalid_argument(std::string(what) + " " + std::to_string(value) + " is not within 0 to " +
                              std::to_string(limit - 1));
}

bool is_int8(const Matrix& matrix) { return matrix.format() == Format::int8; }

bool by_themselves(const Batch& batch) { return batch.rows <= kFewRows; }

}  // namespace

Decoder::Decoder(const DecoderShape& shape, const DecoderWeights& weights, Cache& cache, Pool& pool)
  : shape_(shape),
   weights_(weights),
   layers_(weights.layers, weights.layers + shape.layers),
   cache_(cache),
   pool_(pool),
   hidden_stride_(row_stride(shape.hidden_size)),
   qkv_stride_(row_stride((shape.heads + 2 * shape.kv_heads) * shape.head_dim)),
   attended_stride_(row_stride(shape.heads * shape.head_dim)),
   gate_up_stride_(row_stride(2 * shape.intermediate_size)),
   widest_(std::max({shape.hidden_size, shape.intermediate_size, shape.heads * shape.head_dim})),
   claimed_(size_t(shape.layers)) {
  for (const LayerWeights& layer : layers_) tiles_[layer.reach];
}

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
  qkv_.reserve(batch.rows * qkv_stride_);
  attended_.reserve(batch.rows * attended_stride_);
  gate_up_.reserve(batch.rows * gate_up_stride_);
  inputs_.resize(size_t(pool_.threads()));
  for (size_t i = 0; i < (by_themselves(batch) ? inputs_.size() : 1); ++i) inputs_[i].reserve(batch.rows, widest_);
  shares_.resize(pool_.threads());
  const int64_t group = shape_.heads / shape_.kv_heads;
  while (int(scratch_.size()) < pool_.threads())
    scratch_.emplace_back(cache_.shape(), std::max(rows_of_tile(group) * group, shape_.heads));
  prepare_tiles(batch);
}

void Decoder::prepare_tiles(const Batch& batch) {
  const int64_t group = shape_.heads / shape_.kv_heads, threads = pool_.threads();
  const auto reserve = [&](const Tiles& tiles) {
    softmaxes_.reserve(tiles.chunks * floats_of_chunk(cache_.shape(), group));
  };
  for (auto& [reach, tiles] : tiles_) {
    tiles = Tiling{batch, group, shape_.kv_heads, threads, reach}.of_all();
    reserve(tiles);
  }
  drawn_tiles_ = Tiling{batch, group, shape_.kv_heads, threads, layers_.back().reach}.of_drawn();
  reserve(drawn_tiles_);
  for (auto& claimed : claimed_) claimed.store(0, std::memory_order_relaxed);
  if (int64_t(parts_.size()) != threads) parts_ = std::vector<std::atomic<int64_t>>(size_t(threads));
}

void Decoder::run(const Batch& batch, float* scores, int thread, int threads) noexcept {
  const bool alone = by_themselves(batch);
  Ahead ahead(*layers_.front().qkv, thread, threads);
  const Worker worker{thread, threads, alone, inputs_[alone ? size_t(thread) : 0], ahead};
  embed(batch, worker);
  meet(worker);
  for (int64_t index = 0; index < shape_.layers; ++index) {
    place_layer(batch, index, worker);
    const bool last = index + 1 == shape_.layers;
    if (last) take_drawn(batch, worker);
    meet(worker);
    const Rest all{hidden_.data(), batch.rows, tiles_.at(layers_[size_t(index)].reach)};
    run_layer(batch, index, last ? Rest{drawn_.data(), batch.draws, drawn_tiles_} : all, worker);
  }
  normalize_rows(drawn_.data(), batch.draws, weights_.norm, *weights_.head, worker);
  const Rows rows = worker.inputs.rows_of(*weights_.head, batch.draws);
  multiply(*weights_.head, rows, {scores, shape_.vocab_size, false}, shares_, thread);
}

void Decoder::take_drawn(const Batch& batch, const Worker& worker) noexcept {
  const auto [first, last] = share(batch.draws, worker.thread, worker.threads);
  for (int64_t draw = first; draw < last; ++draw)
    std::copy_n(hidden_.data() + batch.drawn[draw] * hidden_stride_, shape_.hidden_size,
                drawn_.data() + draw * hidden_stride_);
}

void Decoder::embed(const Batch& batch, const Worker& worker) noexcept {
  const auto [first, last] = share(batch.rows, worker.thread, worker.threads);
  for (int64_t row = first; row < last; ++row)
    weights_.embedding->unpack(batch.tokens[row], hidden_.data() + row * hidden_stride_);
}

// The queries, keys and values of all rows. The caller waits for all threads behind it.
void Decoder::place_layer(const Batch& batch, int64_t index, const Worker& worker) noexcept {
  const LayerWeights& layer = layers_[size_t(index)];
  normalize_rows(hidden_.data(), batch.rows, layer.attention_norm, *layer.qkv, worker);
  const Rows rows = worker.inputs.rows_of(*layer.qkv, batch.rows);
  multiply_all(*layer.qkv, rows, {qkv_.data(), qkv_stride_, false}, *layer.output, worker);
  // By heads, then rows: neighbouring rows write to the same cache lines of their block.
  const auto [first, last] = share(batch.rows * shape_.kv_heads, worker.thread, worker.threads);
  for (int64_t piece = first; piece < last; ++piece) place(batch, index, piece % batch.rows, piece / batch.rows);
}

void Decoder::run_layer(const Batch& batch, int64_t index, const Rest& rest, const Worker& worker) noexcept {
  const LayerWeights& layer = layers_[size_t(index)];
  attend_tiles(batch, index, rest.tiles, worker.thread);
  meet(worker);
  if (is_int8(*layer.output)) {
    const auto [first, last] = worker.own(rest.rows);
    for (int64_t row = first; row < last; ++row)
      worker.inputs.quantize(attended_.data() + row * attended_stride_, *layer.output, row);
    share_inputs(worker);
  }
  Rows attended = worker.inputs.rows_of(*layer.output, rest.rows);
  attended.values = attended_.data();
  attended.value_stride = attended_stride_;
  multiply_all(*layer.output, attended, {rest.hidden, hidden_stride_, true}, *layer.gate_up, worker);
  const bool last = index + 1 == shape_.layers;
  run_mlp(layer, rest, last ? *weights_.head : *layers_[size_t(index) + 1].qkv, worker);
}

void Decoder::run_mlp(const LayerWeights& layer, const Rest& rest, const Matrix& next, const Worker& worker) noexcept {
  normalize_rows(rest.hidden, rest.rows, layer.mlp_norm, *layer.gate_up, worker);
  const Rows inputs = worker.inputs.rows_of(*layer.gate_up, rest.rows);
  multiply_all(*layer.gate_up, inputs, {gate_up_.data(), gate_up_stride_, false}, *layer.down, worker);
  const auto [first, last] = worker.own(rest.rows);
  for (int64_t row = first; row < last; ++row) {
    const float* gate = gate_up_.data() + row * gate_up_stride_;
    float* activated = worker.inputs.row(*layer.down, row);
    activate(gate, gate + shape_.intermediate_size, shape_.intermediate_size, activated);
    if (is_int8(*layer.down)) worker.inputs.quantize(activated, *layer.down, row);
  }
  share_inputs(worker);
  const Rows activated = worker.inputs.rows_of(*layer.down, rest.rows);
  multiply_all(*layer.down, activated, {rest.hidden, hidden_stride_, true}, next, worker);
}

// Rows, normalized, become inputs of a matrix, in the form that it multiplies.
void Decoder::normalize_rows(const float* rows, int64_t count, const float* weight, const Matrix& matrix,
                             const Worker& worker) noexcept {
  const auto [first, last] = worker.own(count);
  for (int64_t row = first; row < last; ++row) {
    float* input = worker.inputs.row(matrix, row);
    normalize(rows + row * hidden_stride_, weight, shape_.hidden_size, float(shape_.epsilon), input);
    if (is_int8(matrix)) worker.inputs.quantize(input, matrix, row);
  }
  share_inputs(worker);
}

void Decoder::share_inputs(const Worker& worker) noexcept {
  if (!worker.alone) meet(worker);
}

// All threads have come: what any of them wrote, all may read. What is multiplied next is on its way to those who wait.
void Decoder::meet(const Worker& worker) noexcept {
  pool_.barrier([&] { return worker.ahead.ask(); });
}

// A product that all threads wait for.
void Decoder::multiply_all(const Matrix& matrix, const Rows& rows, const Output& out, const Matrix& next,
                           const Worker& worker) noexcept {
  multiply(matrix, rows, out, shares_, worker.thread);
  worker.ahead = Ahead(next, worker.thread, worker.threads);
  meet(worker);
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
  const int64_t segment = segment_of(batch, row), position = batch.positions[row];
  cache_.put(index, batch.blocks[segment * batch.block_stride + position / kLanes], head, position % kLanes, key,
             value);
}

// Tiles are claimed one by one: which thread computes them changes nothing.
void Decoder::attend_tiles(const Batch& batch, int64_t index, const Tiles& tiles, int thread) noexcept {
  auto& claimed = claimed_[size_t(index)];
  for (size_t i; (i = size_t(claimed.fetch_add(1, std::memory_order_relaxed))) < tiles.tiles.size();) {
    const Tile& tile = tiles.tiles[i];
    const AttentionTask task = task_of(batch, index, tile);
    if (tile.split == Tile::kWhole)
      attend(cache_, task, scratch_[size_t(thread)]);
    else
      attend_part(task, tile, tiles.splits[size_t(tile.split)], thread);
  }
}

AttentionTask Decoder::task_of(const Batch& batch, int64_t index, const Tile& tile) const noexcept {
  const int64_t group = shape_.heads / shape_.kv_heads, first = tile.head * group * shape_.head_dim;
  return {index,
          tile.head,
          tile.heads,
          group,
          tile.rows,
          layers_[size_t(index)].reach,
          qkv_.data() + tile.row * qkv_stride_ + first,
          qkv_stride_,
          batch.positions + tile.row,
          batch.blocks + tile.segment * batch.block_stride,
          attended_.data() + tile.to * attended_stride_ + first,
          attended_stride_};
}

// Whoever is the last at a split joins its parts: nobody waits for them.
void Decoder::attend_part(const AttentionTask& task, const Tile& tile, const Split& split, int thread) noexcept {
  float* softmaxes = softmaxes_.data() + split.place * floats_of_chunk(cache_.shape(), task.group);
  parley::attend_part(cache_, task, tile.chunks, softmaxes, scratch_[size_t(thread)]);
  auto& done = parts_[size_t(tile.split)];
  if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < split.parts) return;
  done.store(0, std::memory_order_relaxed);  // for the next layer
  join_parts(cache_.shape(), task, split.joined, softmaxes);
}

}  // namespace parley
