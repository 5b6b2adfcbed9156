// Reading ahead of what is multiplied next.
#pragma once

#include "matrix.h"

namespace parley {

// The beginning of a thread's own share of a matrix. A thread asks for it line by line while it has nothing else to do,
// as memory would be idle then; a product takes as long as memory takes to give its weights.
class Ahead {
 public:
  Ahead(const Matrix& matrix, int thread, int threads) noexcept;

  // Asks for one more cache line; false when there is none left. It asks for one at a time, as a few dozen that are on
  // their way make the processor wait.
  bool ask() noexcept;

 private:
  const std::byte *next_, *end_;
};

}  // namespace parley
