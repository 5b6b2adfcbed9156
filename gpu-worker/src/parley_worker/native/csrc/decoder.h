// The decoder of all supported architectures: one step for the rows of a batch, in one fork of the pool.
#pragma once

#include <atomic>
#include <map>
#include <vector>

#include "ahead.h"
#include "attention.h"
#include "buffer.h"
#include "gemm.h"
#include "inputs.h"
#include "matrix.h"
#include "pool.h"
#include "shares.h"
#include "tiles.h"

namespace parley {

// The structures up to the decoder itself are laid out as parley_worker/native/abi.py repeats them.

struct DecoderShape {
  int64_t vocab_size, hidden_size, intermediate_size, layers, heads, kv_heads, head_dim;
  double epsilon;
};

// qkv, output, gate_up and down have their inputs in common with what transformers calls so; query_norm and key_norm
// [head_dim] are null in a model without them. reach: the sliding window, 0 for none.
struct LayerWeights {
  const float *attention_norm, *mlp_norm, *query_norm, *key_norm;
  const Matrix *qkv, *output, *gate_up, *down;
  int64_t reach, rotates;
};

// embedding and head may be the same matrix.
struct DecoderWeights {
  const Matrix *embedding, *head;
  const float* norm;
  const LayerWeights* layers;
};

class Decoder {
 public:
  // All that is pointed to stays the caller's and must outlive the decoder.
  Decoder(const DecoderShape& shape, const DecoderWeights& weights, Cache& cache, Pool& pool);

  // Writes the keys and values of all rows and the scores [draws, vocab_size] of those drawn. Throws, before anything
  // is computed, std::invalid_argument for a batch that is none of this model and cache, and std::bad_alloc.
  void execute(const Batch& batch, float* scores);

 private:
  // The rows that a layer goes on with once all keys and values are in place: of the last layer, only those drawn.
  struct Rest {
    float* hidden;
    int64_t rows;
    const Tiles& tiles;
  };

  // A thread of a step. Alone, it prepares the inputs of products by itself; else all do it together.
  struct Worker {
    int thread, threads;
    bool alone;
    Inputs& inputs;
    Ahead& ahead;  // of the next product

    Run own(int64_t rows) const { return alone ? Run{0, rows} : share(rows, thread, threads); }
  };

  void check(const Batch& batch) const;
  void prepare(const Batch& batch);
  void run(const Batch& batch, float* scores, int thread, int threads) noexcept;
  void place_layer(const Batch& batch, int64_t index, const Worker& worker) noexcept;
  void run_layer(const Batch& batch, int64_t index, const Rest& rest, const Worker& worker) noexcept;
  void run_mlp(const LayerWeights& layer, const Rest& rest, const Matrix& next, const Worker& worker) noexcept;
  void take_drawn(const Batch& batch, const Worker& worker) noexcept;
  void embed(const Batch& batch, const Worker& worker) noexcept;
  void normalize_rows(const float* rows, int64_t count, const float* weight, const Matrix& matrix,
                      const Worker& worker) noexcept;
  void meet(const Worker& worker) noexcept;
  void share_inputs(const Worker& worker) noexcept;
  void multiply_all(const Matrix& matrix, const Rows& rows, const Output& out, const Matrix& next,
                    const Worker& worker) noexcept;
  void place(const Batch& batch, int64_t index, int64_t row, int64_t head) noexcept;
  void attend_tiles(const Batch& batch, int64_t index, const Tiles& tiles, int thread) noexcept;
  AttentionTask task_of(const Batch& batch, int64_t index, const Tile& tile) const noexcept;
  void attend_part(const AttentionTask& task, const Tile& tile, const Split& split, int thread) noexcept;
  void prepare_tiles(const Batch& batch);

  DecoderShape shape_;
  DecoderWeights weights_;
  std::vector<LayerWeights> layers_;
  Cache& cache_;
  Pool& pool_;
  int64_t hidden_stride_, qkv_stride_, attended_stride_, gate_up_stride_, widest_;
  Buffer<float> hidden_, drawn_, qkv_, attended_, gate_up_;
  std::vector<Inputs> inputs_;
  Shares shares_;
  std::vector<AttentionScratch> scratch_;
  std::map<int64_t, Tiles> tiles_;  // of layers by their reach
  Tiles drawn_tiles_;
  std::vector<std::atomic<int64_t>> claimed_;  // tiles, for each layer
  std::vector<std::atomic<int64_t>> parts_;    // that are done, for each split of a layer
  Buffer<float> softmaxes_;                    // of the splits of a layer
};

}  // namespace parley
