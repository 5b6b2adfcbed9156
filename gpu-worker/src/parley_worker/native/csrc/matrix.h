// Weights, packed once for multiplication.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "arena.h"

namespace parley {

// How weights are kept. bf16 and f16 are widened exactly: they give the bits of f32 in half the bytes.
enum class Format : int64_t { f32 = 0, bf16 = 1, f16 = 2, int8 = 3 };

// The numbers of a checkpoint.
enum class Source : int64_t { f32 = 0, bf16 = 1, f16 = 2, f64 = 3 };

enum class Status : int64_t { ok = 0, not_finite = 1, unfit_source = 2, out_of_range = 3, no_memory = 4 };

// Weights [outputs, inputs] in panels of outputs: input by input, the weights of a panel's kPanel outputs lie side by
// side, so that they are the lanes of vectors and a product needs no sum across lanes. Outputs are padded to whole
// panels and inputs to whole groups (what one instruction takes of a row) with zeros. int8 is symmetric with one scale
// for each output: weight = code * scale, codes in -127..127.
class Matrix {
 public:
    // Integer sums are exact in 32 bits up to here: 127 * 127 * 2^17 < 2^31, and so is 128 * 127 * 2^17.
    static constexpr int64_t kMaxInputs = 131'072;
    static constexpr int64_t kMaxOutputs = 1 << 30;

    // The weights lie in the arena, which lives as long as any matrix in it. Throws std::invalid_argument for sizes
    // below 1 or above what is said here, std::bad_alloc without memory.
    Matrix(Format format, int64_t outputs, int64_t inputs, std::shared_ptr<Arena> arena);

    Format format() const { return format_; }
    int64_t outputs() const { return outputs_; }
    int64_t inputs() const { return inputs_; }
    int64_t panels() const;
    int64_t bytes() const { return panels() * panel_bytes_; }  // of the packed weights

    // Packs `count` whole rows of `inputs` numbers, one after the other, as the outputs from `first`. Rows may come in
    // any order and from several matrices: q, k and v side by side are one matrix. f32 and int8 take any source, bf16
    // and f16 only their own. Says not_finite if a number is not, in float32: the matrix is then of no use.
    Status fill(int64_t first, int64_t count, const void* rows, Source source);

    // Sets the bias of the outputs from `first`; it is zero elsewhere. Without a call there is none.
    Status fill_bias(int64_t first, int64_t count, const void* values, Source source);

    // The weights of one output as [inputs] float32; exact but for int8, which gives code * scale.
    void unpack(int64_t output, float* row) const;

    // For the kernels: a panel's weights, and [panels * kPanel] values of its outputs. bias is null without one.
    const std::byte* panel(int64_t index) const { return weights_ + index * panel_bytes_; }
    int64_t panel_bytes() const { return panel_bytes_; }
    const float* bias() const { return bias_.get(); }
    const float* scales() const { return scales_.get(); }                 // int8
    const int32_t* corrections() const { return corrections_.get(); }  // int8: added to a column's sum of codes

 private:
    void pack_floats(int64_t output, const float* row);
    void pack_halves(int64_t output, const std::byte* row);
    void pack_codes(int64_t output, const float* row);

    Format format_;
    int64_t outputs_;
    int64_t inputs_;
    int64_t panel_bytes_ = 0;
    std::shared_ptr<Arena> arena_;
    std::byte* weights_ = nullptr;
    std::unique_ptr<float[]> bias_;
    std::unique_ptr<float[]> scales_;
    std::unique_ptr<int32_t[]> corrections_;
};

}  // namespace parley
