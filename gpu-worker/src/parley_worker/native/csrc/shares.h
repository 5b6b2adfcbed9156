// Who computes which part of a job.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace parley {

// Pieces of work from first up to last.
struct Run {
    int64_t first, last;

    int64_t size() const { return last - first; }
};

// What is a thread's own when `count` pieces are shared equally.
inline Run share(int64_t count, int thread, int threads) {
    return {count * thread / threads, count * (thread + 1) / threads};
}

// Divides one job after another. A thread goes through its own share, which lies in memory in one run, and then takes
// from the far end of whichever has most left: nobody waits long for one whose core the system has taken, or whom
// memory serves more slowly.
class Shares {
public:
    static constexpr int64_t kMostPieces = 1 << 28;

    // Not during a job. Throws std::bad_alloc.
    void resize(int threads);

    // Calls work(Run) until none of the job's pieces is left. Once on every thread; all have to meet before the next.
    template <class Work>
    void divide(int64_t count, int thread, Work&& work) noexcept {
        ++shares_[size_t(thread)].job;
        for (Run run; (run = take(count, thread)).size() > 0;) work(run);
    }

private:
    // Of a share, in pieces. What an earlier job has left counts as nothing taken: nobody has to set shares up, and
    // those of a thread that is late are taken from before it comes. Jobs' numbers may come again, since every thread
    // brings its own share to the job that it is at.
    struct Taken {
        uint64_t job : 8, front : 28, back : 28;

        Taken of(uint8_t wanted) const;
        int64_t left_of(const Run& all) const;
    };
    struct alignas(64) Share {
        std::atomic<Taken> taken{};
        uint8_t job = 0;  // that its thread is at
    };

    Run take(int64_t count, int thread) noexcept;
    Run take_own(const Run& all, Share& own) noexcept;
    Run take_from_others(int64_t count, uint8_t job) noexcept;

    std::vector<Share> shares_;
};

}  // namespace parley
