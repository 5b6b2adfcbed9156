// The KV cache: keys and values of every layer in blocks of sixteen tokens, at addresses reserved once.
//
// The sixteen keys of a block and head lie side by side for each dimension, [head_dim, 16]: a query meets all of them
// in one register. Its values lie as rows, [16, padded], padded to a multiple of sixteen by what is never used. In
// bfloat16 two of what is summed over lie together: [head_dim / 2, 16, 2] and [8, padded, 2].
#pragma once

#include <cstddef>
#include <cstdint>

#include "lanes.h"

namespace parley {

struct CacheShape {
  int64_t layers, blocks, kv_heads, head_dim;
  bool bf16;

  int64_t padded() const { return (head_dim + kLanes - 1) / kLanes * kLanes; }
  int64_t item_bytes() const { return bf16 ? 2 : 4; }
  // Of one block, head and layer.
  int64_t key_items() const { return head_dim * kLanes; }
  int64_t value_items() const { return padded() * kLanes; }
  int64_t block_bytes() const { return layers * kv_heads * (key_items() + value_items()) * item_bytes(); }
};

class Cache {
 public:
  // Reserves addresses for all blocks; memory is taken, as zeros, where it is first written. Throws std::bad_alloc.
  explicit Cache(const CacheShape& shape);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  const CacheShape& shape() const { return shape_; }

  template <typename Item>
  Item* keys(int64_t layer, int64_t block, int64_t head) const {
    return static_cast<Item*>(memory_) + index(layer, block, head) * shape_.key_items();
  }
  template <typename Item>
  Item* values(int64_t layer, int64_t block, int64_t head) const {
    const int64_t all_keys = index(shape_.layers, 0, 0) * shape_.key_items();
    return static_cast<Item*>(memory_) + all_keys + index(layer, block, head) * shape_.value_items();
  }
  // Writes the key and the value [head_dim] of a token of a block.
  void put(int64_t layer, int64_t block, int64_t head, int64_t slot, const float* key, const float* value);
  // Writes a value to every byte of a block, in all layers.
  void fill(int64_t block, int value);

 private:
  template <class Kind>
  void put_items(int64_t layer, int64_t block, int64_t head, int64_t slot, const float* key, const float* value);
  int64_t index(int64_t layer, int64_t block, int64_t head) const {
    return (layer * shape_.blocks + block) * shape_.kv_heads + head;
  }

  CacheShape shape_;
  void* memory_;
  size_t bytes_;
};

}  // namespace parley
