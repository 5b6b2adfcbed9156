// A fixed set of threads that run one function together (SPMD), with barriers inside.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace parley {

// The caller is thread 0. Who waits spins for some tens of microseconds, because phases are that short, and then
// sleeps: an idle pool costs nothing, and a preempted thread soon gets the core of those that wait for it. One fork at
// a time: callers take turns.
class Pool {
 public:
    using Work = void (*)(void* context, int thread, int threads);

    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return threads_; }

    // Ends the threads and starts others. Not inside a fork. Throws std::system_error when the system has no thread
    // left: the pool then has those that could be started.
    void resize(int threads);

    // Runs work(context, thread, threads) once on each thread; returns when all are done. The work must not throw.
    void fork(Work work, void* context) noexcept;

    template <class Function>
    void fork(Function&& function) noexcept {
        using Callable = std::remove_reference_t<Function>;
        fork([](void* context, int thread, int threads) { (*static_cast<Callable*>(context))(thread, threads); },
                  const_cast<void*>(static_cast<const void*>(&function)));
    }

    // Inside a fork, by every thread: returns when all have come. What any wrote before, all see after. Who has to wait
    // calls `meanwhile` for as long as it returns true: it does a little at a time.
    template <class Meanwhile>
    void barrier(Meanwhile&& meanwhile) noexcept {
        const uint32_t phase = phase_.load(std::memory_order_relaxed);
        if (arrive(phase)) return;
        while (phase_.load(std::memory_order_acquire) == phase)
            if (!meanwhile()) return await(phase);
    }

 private:
    bool arrive(uint32_t phase) noexcept;  // whether all have come
    void await(uint32_t phase) const noexcept;
    void serve(int thread, uint32_t epoch) noexcept;
    void start(int threads);
    void stop() noexcept;

    int threads_ = 1;
    std::vector<std::thread> workers_;
    Work work_ = nullptr;
    void* context_ = nullptr;
    // On lines of their own: those who wait read one while the others write another.
    alignas(64) std::atomic<uint32_t> epoch_{0};
    alignas(64) std::atomic<uint32_t> phase_{0};
    alignas(64) std::atomic<int> arrived_{0};
};

}  // namespace parley
