#include "sampler.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "lanes.h"

namespace parley {

namespace {

constexpr int64_t kBlock = 64;  // scores: one pass tells which few blocks are worth looking into
constexpr float kLowest = std::numeric_limits<float>::lowest();

// The integers behind positive floats have their order; without their last bits they number the bins of a histogram.
constexpr int kBinShift = 18;
constexpr int64_t kBins = (0x3f800000 >> kBinShift) + 1;
constexpr int64_t kFew = 1024;   // weights that are sorted as they are
constexpr int64_t kSorted = 256;  // WIDEST of engine/sampler/group.py

int64_t blocks_of(int64_t count) { return (count + kBlock - 1) / kBlock; }

int64_t bin_of(float weight) {
  int32_t bits;
  std::memcpy(&bits, &weight, sizeof bits);
  return bits >> kBinShift;
}

// What is at least `least`, and 0 elsewhere.
Lanes cut(Lanes a, float least) {
  for (auto& part : a.part) part = part >= least ? part : FloatPart{};
  return a;
}

}  // namespace

Sampler::Sampler(int64_t vocab) : vocab_(vocab) {
  const int64_t blocks = blocks_of(vocab);
  maxima_.reserve(blocks);
  ordered_.reserve(std::max(vocab, blocks));
  short_.reserve(vocab);
  ids_.reserve(vocab);
  weights_.reserve(blocks * kBlock);
  ends_.reserve(blocks);
  bins_.reserve(kBins);
}

int64_t Sampler::draw(float* scores, const Draw& how) noexcept {
  penalize(scores, how.penalties);
  if (!survey(scores)) return -1;
  const int64_t best = find_best(scores);
  if (how.temperature <= 0) return best;
  const bool limited = how.top_k > 0 && how.top_k < vocab_;
  const int64_t count = limited ? shorten(scores, how.top_k) : vocab_;
  const double hottest = std::numeric_limits<float>::max();
  weigh(limited ? short_.data() : scores, count, best_, float(std::min(how.temperature, hottest)));
  float least = float(how.min_p);  // the best one weighs 1
  if (how.top_p < 1) least = std::max(least, nucleus_end(count, how.top_p));
  const int64_t place = pick(count, least, how.uniform);
  return limited ? ids_.data()[place] : place;
}

// The best score of each block and of all; false if a score is not finite.
bool Sampler::survey(const float* scores) {
  Lanes finite = splat(0);  // x - x is NaN where x is not finite
  best_ = kLowest;
  int64_t block = 0;
  for (; (block + 1) * kBlock <= vocab_; ++block) {
    const float* from = scores + block * kBlock;
    Lanes top = load(from);
    finite = finite + (top - top);
    for (int64_t i = kLanes; i < kBlock; i += kLanes) {
      const Lanes next = load(from + i);
      finite = finite + (next - next);
      top = max(top, next);
    }
    maxima_.data()[block] = greatest(top);
    best_ = std::max(best_, maxima_.data()[block]);
  }
  float rest = sum(finite), top = kLowest;
  for (int64_t i = block * kBlock; i < vocab_; ++i) {
    rest += scores[i] - scores[i];
    top = std::max(top, scores[i]);
  }
  if (block < blocks_of(vocab_)) maxima_.data()[block] = top;
  best_ = std::max(best_, top);
  return rest == 0;
}

int64_t Sampler::find_best(const float* scores) const {
  const int64_t block = std::find(maxima_.data(), maxima_.data() + blocks_of(vocab_), best_) - maxima_.data();
  return std::find(scores + block * kBlock, scores + std::min(vocab_, (block + 1) * kBlock), best_) - scores;
}

// Calls keep(id, place) for each score from `floor` on, in order; how many there are.
template <typename Keep>
int64_t Sampler::collect(const float* scores, float floor, Keep&& keep) const {
  int64_t count = 0;
  for (int64_t block = 0; block < blocks_of(vocab_); ++block) {
    if (maxima_.data()[block] < floor) continue;
    const int64_t end = std::min(vocab_, (block + 1) * kBlock);
    for (int64_t id = block * kBlock; id < end; ++id) {
      keep(id, count);
      count += scores[id] >= floor;
    }
  }
  return count;
}

// The best top_k scores and their ids; how many they are, ties with the last included. They are the best first where
// engine/sampler/shortlist.py has them so, so that both draw the same.
int64_t Sampler::shorten(const float* scores, int64_t top_k) {
  const int64_t blocks = blocks_of(vocab_);
  float* ordered = ordered_.data();
  const auto falling = std::greater<float>();
  float floor = kLowest;
  if (top_k <= blocks) {  // as many blocks have a score from here on
    std::copy_n(maxima_.data(), blocks, ordered);
    std::nth_element(ordered, ordered + top_k - 1, ordered + blocks, falling);
    floor = ordered[top_k - 1];
  }
  const int64_t found = collect(scores, floor, [&](int64_t id, int64_t place) { ordered[place] = scores[id]; });
  std::nth_element(ordered, ordered + top_k - 1, ordered + found, falling);
  int32_t* ids = ids_.data();
  const int64_t count = collect(scores, ordered[top_k - 1], [&](int64_t id, int64_t at) { ids[at] = int32_t(id); });
  const auto better = [&](int32_t a, int32_t b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); };
  if (top_k <= kSorted) std::sort(ids, ids + count, better);
  for (int64_t i = 0; i < count; ++i) short_.data()[i] = scores[ids[i]];
  return count;
}

// weights = e^((score - best) / temperature), zeros behind them up to the end of a block.
void Sampler::weigh(const float* scores, int64_t count, float best, float temperature) {
  float* weights = weights_.data();
  const Lanes top = splat(best), heat = splat(temperature);
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) store(weights + i, exp((load(scores + i) - top) / heat));
  alignas(64) float rest[kLanes] = {};
  std::copy(scores + whole, scores + count, rest);
  if (whole < count) store(weights + whole, exp((load(rest) - top) / heat));
  std::fill(weights + count, weights + blocks_of(count) * kBlock, 0.0f);
}

// The smallest weight in the nucleus. Of many, only those in the bin where it ends are sorted.
float Sampler::nucleus_end(int64_t count, double top_p) {
  const float* weights = weights_.data();
  float* ordered = ordered_.data();
  double total = 0, better = 0;
  int64_t edge = -1, few = count;
  if (count <= kFew) {
    std::copy_n(weights, count, ordered);
    for (int64_t i = 0; i < count; ++i) total += weights[i];
  } else {
    double* bins = bins_.data();
    std::fill_n(bins, kBins, 0.0);
    for (int64_t i = 0; i < count; ++i) bins[bin_of(weights[i])] += weights[i];
    for (int64_t bin = 0; bin < kBins; ++bin) total += bins[bin];
    for (edge = kBins - 1; edge > 0 && better + bins[edge] < top_p * total; --edge) better += bins[edge];
    few = std::copy_if(weights, weights + count, ordered, [&](float w) { return bin_of(w) == edge; }) - ordered;
  }
  std::sort(ordered, ordered + few, std::greater<float>());
  float end = few ? ordered[0] : 0;
  for (int64_t i = 0; i < few && better < top_p * total; ++i) {
    end = ordered[i];
    better += end;
  }
  return end;
}

// Inverts the distribution of the weights that are at least `least`: float32 sums within a block, float64 over blocks.
int64_t Sampler::pick(int64_t count, float least, double uniform) {
  float* weights = weights_.data();
  double* ends = ends_.data();
  const int64_t blocks = blocks_of(count);
  double total = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    Lanes within = splat(0);
    for (float* at = weights + block * kBlock; at < weights + (block + 1) * kBlock; at += kLanes) {
      const Lanes kept = cut(load(at), least);
      store(at, kept);
      within = within + kept;
    }
    ends[block] = total += sum(within);
  }
  const double target = uniform * total;
  const int64_t block = std::upper_bound(ends, ends + blocks, target) - ends;
  double end = block ? ends[block - 1] : 0;
  int64_t last = block * kBlock;
  for (int64_t i = last; i < (block + 1) * kBlock && end <= target; ++i) {
    if (weights[i] == 0) continue;
    last = i;
    end += weights[i];
  }
  return last;
}

}  // namespace parley
