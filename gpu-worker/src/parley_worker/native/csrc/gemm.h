// Products of rows with packed weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "matrix.h"
#include "shares.h"

namespace parley {

// What is multiplied: `count` rows of as many numbers as the matrix has inputs. A matrix of int8 reads codes and
// scales, any other reads values.
struct Rows {
    int64_t count;
    const float* values;       // [count, value_stride]
    int64_t value_stride;      // in floats
    const std::byte* codes;    // [count, code_stride], each row as quantize() writes it
    int64_t code_stride;  // in bytes
    const float* scales;       // [count]
};

// A good distance between rows of `numbers` floats, in floats: whole cache lines, and no power of two, with which the
// rows of a block would fall into the same few lines of the cache.
int64_t row_stride(int64_t numbers);

// The bytes of a quantized row of `inputs` numbers, a good distance too. Rows of codes begin at multiples of 64 bytes.
int64_t code_stride(int64_t inputs);

// Quantizes one row to int8, symmetric: scale = max |x| / 127, code = x * (127 / max |x|) to the nearest, to even from
// the middle. Writes what products read (plain int8 not everywhere) and returns the scale: NaN when a number is not
// finite, so that all products of the row are NaN; 0 when all are below 1e-36 in size.
float quantize(const float* values, int64_t inputs, std::byte* codes);

// Where products go: rows `stride` floats apart. add: to what is there.
struct Output {
    float* values;
    int64_t stride;
    bool add;
};

// out[r, o] = sum over k of rows[r, k] * weights[o, k], plus bias[o], plus what out[r, o] held if `out.add`; for r
// below rows.count and the outputs of the panels that this thread gets: call it on all threads of a fork. Neither waits
// nor allocates. Every out[r, o] is summed over k in one order: its bits do not depend on the other rows, on r or on
// the threads.
void multiply(const Matrix& matrix, const Rows& rows, const Output& out, Shares& shares, int thread) noexcept;

}  // namespace parley
