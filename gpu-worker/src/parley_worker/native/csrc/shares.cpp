#include "shares.h"

namespace parley {

namespace {

// Several at first, as taking costs some time, and single ones at the end.
int64_t portion(int64_t left) { return (left + 3) / 4; }

}  // namespace

void Shares::resize(int threads) {
    if (shares_.size() != size_t(threads)) shares_ = std::vector<Share>(size_t(threads));
}

Shares::Taken Shares::Taken::of(uint8_t wanted) const { return job == wanted ? *this : Taken{wanted, 0, 0}; }

int64_t Shares::Taken::left_of(const Run& all) const { return all.size() - int64_t(front) - int64_t(back); }

Run Shares::take(int64_t count, int thread) noexcept {
    Share& own = shares_[size_t(thread)];
    const Run run = take_own(share(count, thread, int(shares_.size())), own);
    return run.size() > 0 ? run : take_from_others(count, own.job);
}

Run Shares::take_own(const Run& all, Share& own) noexcept {
    Taken seen = own.taken.load(std::memory_order_relaxed);
    for (;;) {
        const Taken before = seen.of(own.job);
        Taken after = before;
        after.front += uint64_t(portion(before.left_of(all)));
        if (own.taken.compare_exchange_weak(seen, after, std::memory_order_relaxed))
            return {all.first + int64_t(before.front), all.first + int64_t(after.front)};
    }
}

Run Shares::take_from_others(int64_t count, uint8_t job) noexcept {
    for (;;) {
        Share* longest = nullptr;
        Taken seen{};
        Run all{}, none{};
        for (size_t i = 0; i < shares_.size(); ++i) {
            const Run run = share(count, int(i), int(shares_.size()));
            const Taken taken = shares_[i].taken.load(std::memory_order_relaxed);
            if (taken.of(job).left_of(run) <= seen.of(job).left_of(all)) continue;
            longest = &shares_[i], seen = taken, all = run;
        }
        if (longest == nullptr) return none;
        const Taken before = seen.of(job);
        Taken after = before;
        after.back += uint64_t(portion(before.left_of(all)));
        if (longest->taken.compare_exchange_weak(seen, after, std::memory_order_relaxed))
            return {all.last - int64_t(after.back), all.last - int64_t(before.back)};
    }
}

}  // namespace parley
