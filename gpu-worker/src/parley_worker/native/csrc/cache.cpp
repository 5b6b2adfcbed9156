#include "cache.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace parley {

Cache::Cache(const CacheShape& shape) : shape_(shape), bytes_(size_t(shape.blocks) * size_t(shape.block_bytes())) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory_ == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  madvise(memory_, bytes_, MADV_HUGEPAGE);  // a wish: without huge pages the reads are only slower
#endif
}

Cache::~Cache() { munmap(memory_, bytes_); }

void Cache::put(int64_t layer, int64_t block, int64_t head, int64_t slot, const float* key, const float* value) {
  if (shape_.half)
    put_items<Half>(layer, block, head, slot, key, value);
  else
    put_items<float>(layer, block, head, slot, key, value);
}

template <typename Item>
void Cache::put_items(int64_t layer, int64_t block, int64_t head, int64_t slot, const float* key, const float* value) {
  Item* to_key = keys<Item>(layer, block, head) + slot;
  Item* to_value = values<Item>(layer, block, head) + slot * shape_.padded();
  for (int64_t d = 0; d < shape_.head_dim; ++d) parley::put(to_key + d * kLanes, key[d]);
  for (int64_t d = 0; d < shape_.head_dim; ++d) parley::put(to_value + d, value[d]);
}

void Cache::fill(int64_t block, int value) {
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const size_t items = size_t(shape_.kv_heads * shape_.item_bytes());
    std::memset(shape_.half ? (void*)keys<Half>(layer, block, 0) : keys<float>(layer, block, 0), value,
          items * size_t(shape_.key_items()));
    std::memset(shape_.half ? (void*)values<Half>(layer, block, 0) : values<float>(layer, block, 0), value,
          items * size_t(shape_.value_items()));
  }
}

}  // namespace parley
