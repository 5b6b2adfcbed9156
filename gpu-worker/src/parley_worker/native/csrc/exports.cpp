// What Python calls. See parley_worker/native/library.py and abi.py, which declare the same.
#include <cstring>
#include <new>
#include <stdexcept>

#include "bfloat16.h"
#include "elementwise.h"
#include "model.h"

using namespace parley;

namespace {

enum Outcome : int64_t { kDone = 0, kNoMemory = 1, kInvalid = 2 };

// Runs `work`. Why it is invalid becomes a message of at most `size` bytes.
template <typename Work>
int64_t guarded(char* message, int64_t size, Work&& work) {
  try {
    work();
    return kDone;
  } catch (const std::bad_alloc&) {
    return kNoMemory;
  } catch (const std::invalid_argument& error) {
    std::strncpy(message, error.what(), size_t(size) - 1);
    message[size - 1] = 0;
    return kInvalid;
  }
}

}  // namespace

extern "C" {

Cache* parley_cache_new(int64_t layers, int64_t blocks, int64_t kv_heads, int64_t head_dim, int64_t bf16) {
  try {
    return new Cache({layers, blocks, kv_heads, head_dim, bf16 != 0});
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void parley_cache_free(Cache* cache) { delete cache; }

int64_t parley_cache_block_bytes(int64_t layers, int64_t kv_heads, int64_t head_dim, int64_t bf16) {
  return CacheShape{layers, 1, kv_heads, head_dim, bf16 != 0}.block_bytes();
}

void parley_cache_fill(Cache* cache, int64_t block, int64_t value) { cache->fill(block, int(value)); }

void parley_cache_put(Cache* cache, int64_t layer, int64_t block, int64_t head, int64_t slot, const float* key,
           const float* value) {
  cache->put(layer, block, head, slot, key, value);
}

Model* parley_decoder_new(const DecoderShape* shape, const DecoderWeights* weights, Cache* cache, Pool* pool) {
  try {
    return new Model(*shape, *weights, *cache, *pool);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void parley_decoder_free(Model* model) { delete model; }

int64_t parley_decoder_execute(Model* model, const int64_t* numbers, const Tables* tables, float* scores, char* message,
                               int64_t size) {
  return guarded(message, size, [&] { model->execute(numbers, *tables, scores); });
}

int64_t parley_decoder_generate(Model* model, int64_t* numbers, const Tables* tables, float* scores, Samplers* samplers,
                                const Draw* draws, const Rounds* rounds, int64_t* tokens, int64_t* done, char* message,
                                int64_t size) {
  return guarded(message, size, [&] {
    *done = model->generate(numbers, *tables, scores, *samplers, draws, *rounds, tokens);
  });
}

// Null when memory is lacking.
Samplers* parley_sampler_new(int64_t vocab) {
  try {
    return new Samplers(vocab);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void parley_sampler_free(Samplers* samplers) { delete samplers; }

int64_t parley_sampler_draw(Samplers* samplers, Pool* pool, float* scores, int64_t rows, const Draw* draws,
                            int64_t* tokens, char* message, int64_t size) {
  return guarded(message, size, [&] { samplers->draw(*pool, scores, rows, draws, tokens); });
}

// One operation each, as the decoder uses it.
void parley_normalize(const float* row, const float* weight, int64_t size, double epsilon, float* out) {
  normalize(row, weight, size, float(epsilon), out);
}

void parley_rotate(float* head, const float* cos, const float* sin, int64_t head_dim) {
  rotate(head, cos, sin, head_dim);
}

void parley_activate(float* gate, const float* up, int64_t size) { activate(gate, up, size, gate); }

void parley_exp(float* values, int64_t count) {
  for (int64_t i = 0; i + kLanes <= count; i += kLanes) store(values + i, exp(load(values + i)));
}

void parley_exp2(float* values, int64_t count, int64_t rough) {
  for (int64_t i = 0; i + kLanes <= count; i += kLanes)
    store(values + i, rough ? rough_exp2(load(values + i)) : exp2(load(values + i)));
}

// Rounds to bfloat16.
void parley_round(float* values, int64_t count) {
  Bfloat16 narrowed[kLanes];
  for (int64_t i = 0; i + kLanes <= count; i += kLanes) {
    store(narrowed, load(values + i));
    for (int lane = 0; lane < kLanes; ++lane) values[i + lane] = widen(narrowed[lane]);
  }
}

int64_t parley_attend(const Cache* cache, const AttentionTask* task) {
  try {
    AttentionScratch scratch(cache->shape(), task->heads * task->rows * task->group);
    attend(*cache, *task, scratch);
    return kDone;
  } catch (const std::bad_alloc&) {
    return kNoMemory;
  }
}

}  // extern "C"
