#include "ahead.h"

#include <algorithm>

#include "cpu.h"
#include "shares.h"

namespace parley {

namespace {

// Small beside the cache of a core, which the rest of a step needs too.
constexpr int64_t kMost = 160 << 10;

}  // namespace

Ahead::Ahead(const Matrix& matrix, int thread, int threads) noexcept {
  const Run own = share(matrix.panels(), thread, threads);
  next_ = matrix.panel(own.first);
  end_ = next_ + std::min(kMost, own.size() * matrix.panel_bytes());
}

bool Ahead::ask() noexcept {
  if (next_ >= end_) return false;
  simd::prefetch(next_);
  next_ += simd::kCacheLine;
  return true;
}

}  // namespace parley
