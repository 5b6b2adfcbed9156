#include "cache.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "products.h"

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
  if (shape_.bf16)
    put_items<Pairs>(layer, block, head, slot, key, value);
  else
    put_items<Singles>(layer, block, head, slot, key, value);
}

template <class Kind>
void Cache::put_items(int64_t layer, int64_t block, int64_t head, int64_t slot, const float* key, const float* value) {
  constexpr int64_t depth = Kind::kDepth;
  auto* to_key = keys<typename Kind::Item>(layer, block, head) + slot * depth;
  auto* to_value = values<typename Kind::Item>(layer, block, head);
  to_value += slot / depth * depth * shape_.padded() + slot % depth;
  for (int64_t d = 0; d < shape_.head_dim; ++d) {
    parley::put(to_key + d / depth * depth * kLanes + d % depth, key[d]);
    parley::put(to_value + d * depth, value[d]);
  }
}

void Cache::fill(int64_t block, int value) {
  const auto fill_items = [&](auto* keys, auto* values) {
    const size_t bytes = size_t(shape_.kv_heads * shape_.item_bytes());
    std::memset(keys, value, bytes * size_t(shape_.key_items()));
    std::memset(values, value, bytes * size_t(shape_.value_items()));
  };
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    if (shape_.bf16)
      fill_items(keys<Bfloat16>(layer, block, 0), values<Bfloat16>(layer, block, 0));
    else
      fill_items(keys<float>(layer, block, 0), values<float>(layer, block, 0));
  }
}

}  // namespace parley
