#include "matrix.h"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cpu.h"
#include "quantize.h"

namespace parley {

using namespace simd;

namespace {

int64_t bytes_of_panel(Format format, int64_t inputs) {
    switch (format) {
        case Format::f32: return inputs * kPanel * 4;
        case Format::bf16:
        case Format::f16: return inputs * kPanel * 2;
        case Format::int8: return round_up(inputs, kGroup) * kPanel;
    }
    throw std::invalid_argument("no such format");
}

int64_t size_of(Source source) { return source == Source::f64 ? 8 : source == Source::f32 ? 4 : 2; }

// Where the weight of input k and column c of a panel lies, in weights.
int64_t plain_place(int64_t k, int64_t c) { return k * kPanel + c; }
// Two columns share a 32-bit lane, so that widening takes one operation each.
int64_t bf16_place(int64_t k, int64_t c) { return k * kPanel + c % kLanes * 2 + c / kLanes; }
int64_t int8_place(int64_t k, int64_t c) { return (k / kGroup * kPanel + c) * kGroup + k % kGroup; }

template <class Number>
Number at(const std::byte* from, int64_t index) {
    return load_as<Number>(from + index * int64_t(sizeof(Number)));
}

// Numbers of a mapped file, aligned or not, as float32. False when one of them is not finite there.
bool widen(const std::byte* from, int64_t count, Source source, float* to) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < count; ++i) {
        switch (source) {
            case Source::f32: to[i] = at<float>(from, i); break;
            case Source::bf16: to[i] = widen_bf16(at<uint16_t>(from, i)); break;
            case Source::f16: to[i] = widen_f16(at<uint16_t>(from, i)); break;
            case Source::f64: to[i] = float(at<double>(from, i)); break;
        }
        largest = std::max(largest, size_bits(to[i]));
    }
    return largest < kInfinityBits;
}

}  // namespace

Matrix::Matrix(Format format, int64_t outputs, int64_t inputs, std::shared_ptr<Arena> arena)
    : format_(format), outputs_(outputs), inputs_(inputs), arena_(std::move(arena)) {
    if (outputs < 1 || outputs > kMaxOutputs || inputs < 1 || inputs > kMaxInputs) {
        throw std::invalid_argument("size out of range");
    }
    panel_bytes_ = bytes_of_panel(format, inputs);
    weights_ = arena_->take(bytes());
    const int64_t columns = panels() * kPanel;
    if (format != Format::int8) return;
    scales_ = std::make_unique<float[]>(columns);
    corrections_ = std::make_unique<int32_t[]>(columns);
}

int64_t Matrix::panels() const { return divide_up(outputs_, kPanel); }

Status Matrix::fill(int64_t first, int64_t count, const void* rows, Source source) {
    if (first < 0 || count < 0 || first > outputs_ - count) return Status::out_of_range;
    if (format_ == Format::bf16 && source != Source::bf16) return Status::unfit_source;
    if (format_ == Format::f16 && source != Source::f16) return Status::unfit_source;
    std::vector<float> row(inputs_);
    const auto* from = static_cast<const std::byte*>(rows);
    for (int64_t i = 0; i < count; ++i, from += inputs_ * size_of(source)) {
        if (!widen(from, inputs_, source, row.data())) return Status::not_finite;
        if (format_ == Format::bf16 || format_ == Format::f16) pack_halves(first + i, from);
        else if (format_ == Format::f32) pack_floats(first + i, row.data());
        else pack_codes(first + i, row.data());
    }
    return Status::ok;
}

void Matrix::pack_floats(int64_t output, const float* row) {
    auto* const panel = reinterpret_cast<float*>(weights_ + output / kPanel * panel_bytes_);
    for (int64_t k = 0; k < inputs_; ++k) panel[plain_place(k, output % kPanel)] = row[k];
}

void Matrix::pack_halves(int64_t output, const std::byte* row) {
    auto* const panel = reinterpret_cast<uint16_t*>(weights_ + output / kPanel * panel_bytes_);
    const auto place = format_ == Format::bf16 ? bf16_place : plain_place;
    for (int64_t k = 0; k < inputs_; ++k) panel[place(k, output % kPanel)] = at<uint16_t>(row, k);
}

void Matrix::pack_codes(int64_t output, const float* row) {
    uint32_t largest = 0;
    for (int64_t k = 0; k < inputs_; ++k) largest = std::max(largest, size_bits(row[k]));
    const Symmetric by = symmetric(largest);
    auto* const panel = reinterpret_cast<int8_t*>(weights_ + output / kPanel * panel_bytes_);
    int32_t sum = 0;
    for (int64_t k = 0; k < inputs_; ++k) {
        const auto code = int8_t(to_code(row[k], by));
        panel[int8_place(k, output % kPanel)] = code;
        sum += code;
    }
    scales_[output] = by.scale;
    corrections_[output] = -kCodeOffset * sum;
}

Status Matrix::fill_bias(int64_t first, int64_t count, const void* values, Source source) {
    if (first < 0 || count < 0 || first > outputs_ - count) return Status::out_of_range;
    if (!bias_) bias_ = std::make_unique<float[]>(panels() * kPanel);
    const bool finite = widen(static_cast<const std::byte*>(values), count, source, bias_.get() + first);
    return finite ? Status::ok : Status::not_finite;
}

void Matrix::unpack(int64_t output, float* row) const {
    const std::byte* const from = panel(output / kPanel);
    const int64_t c = output % kPanel;
    for (int64_t k = 0; k < inputs_; ++k) {
        switch (format_) {
            case Format::f32: row[k] = at<float>(from, plain_place(k, c)); break;
            case Format::bf16: row[k] = widen_bf16(at<uint16_t>(from, bf16_place(k, c))); break;
            case Format::f16: row[k] = widen_f16(at<uint16_t>(from, plain_place(k, c))); break;
            case Format::int8: row[k] = float(at<int8_t>(from, int8_place(k, c))) * scales_[output]; break;
        }
    }
}

}  // namespace parley
