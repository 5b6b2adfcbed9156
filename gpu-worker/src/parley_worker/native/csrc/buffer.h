// Memory for intermediate results.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace parley {

// An array that begins on a cache line. It grows when asked to, and what it held is then gone.
template <typename Item>
class Buffer {
 public:
  Item* data() const { return memory_.get(); }

  // Throws std::bad_alloc.
  void reserve(int64_t items) {
    if (items <= items_) return;
    memory_.reset();
    items_ = 0;
    const size_t bytes = (size_t(items) * sizeof(Item) + 63) / 64 * 64;
    memory_.reset(static_cast<Item*>(std::aligned_alloc(64, bytes)));
    if (!memory_) throw std::bad_alloc();
    items_ = items;
  }

 private:
  struct Free {
    void operator()(Item* memory) const { std::free(memory); }
  };

  std::unique_ptr<Item[], Free> memory_;
  int64_t items_ = 0;
};

}  // namespace parley
