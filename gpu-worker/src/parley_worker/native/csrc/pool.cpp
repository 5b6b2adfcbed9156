#include "pool.h"

#include <algorithm>
#include <chrono>

#include <pthread.h>
#include <signal.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace parley {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpinning = std::chrono::microseconds(50);
constexpr int kPauses = 32;  // less than a microsecond; the clock and the scheduler are asked in between

void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

// Who changes a value and then notifies does so with sequential consistency: libstdc++ asks next whether anybody
// sleeps, and after a plain store the processor may ask before others see the value. One just falling asleep was never
// woken. On a busy machine the thread that is waited for may be next on this very core: whoever spins yields.
void await_change(const std::atomic<uint32_t>& value, uint32_t old) {
    const auto until = Clock::now() + kSpinning;
    do {
        for (int i = 0; i < kPauses; ++i) {
            if (value.load(std::memory_order_acquire) != old) return;
            pause();
        }
        std::this_thread::yield();
    } while (Clock::now() < until);
    value.wait(old, std::memory_order_acquire);
}

// The process's signals are for its first thread: threads inherit the mask of the one that starts them.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

}  // namespace

Pool::Pool(int threads) {
    try {
        start(threads);
    } catch (...) {
        stop();
        throw;
    }
}

Pool::~Pool() { stop(); }

void Pool::resize(int threads) {
    stop();
    start(threads);
}

void Pool::start(int threads) {
    const SignalsBlocked blocked;
    const uint32_t epoch = epoch_.load(std::memory_order_relaxed);
    for (int thread = 1; thread < std::max(threads, 1); ++thread) {
        workers_.emplace_back(&Pool::serve, this, thread, epoch);
        threads_ = thread + 1;
    }
}

void Pool::stop() noexcept {
    work_ = nullptr;
    epoch_.fetch_add(1);
    epoch_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
    threads_ = 1;
}

void Pool::serve(int thread, uint32_t epoch) noexcept {
    for (;; ++epoch) {
        await_change(epoch_, epoch);
        if (work_ == nullptr) return;
        work_(context_, thread, threads_);
        barrier([] { return false; });
    }
}

void Pool::fork(Work work, void* context) noexcept {
    if (threads_ == 1) return work(context, 0, 1);
    work_ = work;
    context_ = context;
    epoch_.fetch_add(1);
    epoch_.notify_all();
    work(context, 0, threads_);
    barrier([] { return false; });
}

bool Pool::arrive(uint32_t phase) noexcept {
    if (threads_ == 1) return true;
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < threads_) return false;
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1);
    phase_.notify_all();
    return true;
}

void Pool::await(uint32_t phase) const noexcept { await_change(phase_, phase); }

}  // namespace parley
