// Memory for the weights of a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace parley {

// Lays what it is asked for side by side in a few large mappings of huge pages, in the order of the asking. Each page
// that is read needs a place in the TLB; with small ones a step of a model of 135 million weights took a tenth longer.
class Arena {
public:
    Arena() = default;
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // `bytes` zeros from the beginning of a cache line; they last as long as the arena. Memory is taken where they are
    // first written. Throws std::bad_alloc.
    std::byte* take(int64_t bytes);

private:
    struct Mapping {
        void* memory;
        int64_t length;
    };

    void map(int64_t bytes);

    std::vector<Mapping> mappings_;
    std::byte* next_ = nullptr;
    int64_t left_ = 0;
};

}  // namespace parley
