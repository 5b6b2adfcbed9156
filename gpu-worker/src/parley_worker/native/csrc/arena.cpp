#include "arena.h"

#include <algorithm>
#include <new>

#include <sys/mman.h>

#include "cpu.h"

namespace parley {

namespace {

constexpr int64_t kHugePage = 2 << 20;
// So large that what is lost at its end does not matter, as little of a mapping that stays empty costs anything.
constexpr int64_t kMapping = 128 << 20;

}  // namespace

Arena::~Arena() {
    for (const Mapping& mapping : mappings_) munmap(mapping.memory, mapping.length);
}

std::byte* Arena::take(int64_t bytes) {
    if (bytes > left_) map(bytes);
    std::byte* const taken = next_;
    const int64_t length = std::min(simd::round_up(bytes, simd::kCacheLine), left_);
    next_ += length;
    left_ -= length;
    return taken;
}

// Huge pages begin at multiples of their own size.
void Arena::map(int64_t bytes) {
    const int64_t usable = std::max(kMapping, simd::round_up(bytes, kHugePage)), length = usable + kHugePage;
    mappings_.reserve(mappings_.size() + 1);
    void* const memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mappings_.push_back({memory, length});
    next_ = reinterpret_cast<std::byte*>(simd::round_up(reinterpret_cast<int64_t>(memory), kHugePage));
    left_ = usable;
#if defined(MADV_HUGEPAGE)
    madvise(next_, usable, MADV_HUGEPAGE);  // a wish: without huge pages the reads are only slower
#endif
}

}  // namespace parley
