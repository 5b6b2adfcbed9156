// Weights, packed once for multiplication.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace parley {

// How weights are kept. bf16 and f16 are widened exactly: they give the bits of f32 in half the bytes.
enum class Format : std::int64_t { f32 = 0, bf16 = 1, f16 = 2, int8 = 3 };

// The numbers of a checkpoint.
enum class Source : std::int64_t { f32 = 0, bf16 = 1, f16 = 2, f64 = 3 };

enum class Status : std::int64_t { ok = 0, not_finite = 1, unfit_source = 2, out_of_range = 3, no_memory = 4 };

// Weights [outputs, inputs] in panels of columns: for each panel, input by input, the weights of its `panel_width` outputs
// lie side by side, so that they are the lanes of a vector and a product needs no sum across lanes. Outputs are padded to
// whole panels and inputs to whole groups (what one instruction takes of a row) with zeros.
// int8 is symmetric with one scale for each output: weight = code * scale, codes in -127..127.
class Matrix {
public:
    // Integer sums are exact in 32 bits up to here: 127 * 127 * 2^17 < 2^31, and so is 128 * 127 * 2^17.
    static constexpr std::int64_t max_inputs = 131'072;

    // Throws std::invalid_argument for sizes below 1 or inputs above max_inputs, std::bad_alloc without memory.
    Matrix(Format format, std::int64_t outputs, std::int64_t inputs);

    Format format() const { return format_; }
    std::int64_t outputs() const { return outputs_; }
    std::int64_t inputs() const { return inputs_; }
    std::int64_t panels() const;
    std::int64_t bytes() const { return panels() * panel_bytes_; }  // of the packed weights

    // Packs `count` whole rows of `inputs` numbers, close together, as the outputs from `first`. Rows may come in any order
    // and from several matrices: q, k and v side by side are one matrix. f32 and int8 take any source, bf16 and f16 only
    // their own; not_finite when a number is (in float32), and the matrix is then of no use. Threads may fill distinct rows
    // at once when these share no panel.
    Status fill(std::int64_t first, std::int64_t count, const void* rows, Source source);

    // Sets the bias of the outputs from `first`; it is zero elsewhere. Without a call there is none.
    Status fill_bias(std::int64_t first, std::int64_t count, const void* values, Source source);

    // The weights of one output as [inputs] float32; exact but for int8, which gives code * scale.
    void unpack(std::int64_t output, float* row) const;

    // For the kernels: a panel's weights, and [panels * panel_width] values of its outputs. bias is null without one.
    const std::byte* panel(std::int64_t index) const { return weights_.get() + index * panel_bytes_; }
    std::int64_t panel_bytes() const { return panel_bytes_; }
    const float* bias() const { return bias_.get(); }
    const float* scales() const { return scales_.get(); }                 // int8
    const std::int32_t* corrections() const { return corrections_.get(); }  // int8: added to a column's sum of codes

private:
    struct Unmap {
        void* memory = nullptr;  // what was mapped, of which the weights are a part
        std::int64_t length = 0;
        void operator()(std::byte*) const;
    };
    using Weights = std::unique_ptr<std::byte[], Unmap>;

    static Weights map(std::int64_t bytes);
    void pack_floats(std::int64_t output, const float* row);
    void pack_halves(std::int64_t output, const std::byte* row);
    void pack_codes(std::int64_t output, const float* row);

    Format format_;
    std::int64_t outputs_;
    std::int64_t inputs_;
    std::int64_t panel_bytes_ = 0;
    Weights weights_{nullptr, Unmap{}};
    std::unique_ptr<float[]> bias_;
    std::unique_ptr<float[]> scales_;
    std::unique_ptr<std::int32_t[]> corrections_;
};

}  // namespace parley
