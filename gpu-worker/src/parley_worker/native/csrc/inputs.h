// Rows in the form in which a matrix multiplies them.
#pragma once

#include "buffer.h"
#include "gemm.h"
#include "matrix.h"

namespace parley {

class Inputs {
 public:
  // Room for `rows` rows of at most `widest` numbers. Throws std::bad_alloc.
  void reserve(int64_t rows, int64_t widest) {
    values_.reserve(rows * row_stride(widest));
    codes_.reserve(rows * code_stride(widest));
    scales_.reserve(rows);
  }

  // Where the values of a row belong.
  float* row(const Matrix& matrix, int64_t index) const {
    return values_.data() + index * row_stride(matrix.inputs());
  }

  // Sets the codes and the scale of a row.
  void quantize(const float* row, const Matrix& matrix, int64_t to) const {
    const int64_t inputs = matrix.inputs();
    scales_.data()[to] = parley::quantize(row, inputs, codes_.data() + to * code_stride(inputs));
  }

  Rows rows_of(const Matrix& matrix, int64_t count) const {
    const int64_t inputs = matrix.inputs();
    return {count, values_.data(), row_stride(inputs), codes_.data(), code_stride(inputs), scales_.data()};
  }

 private:
  Buffer<float> values_, scales_;
  Buffer<std::byte> codes_;
};

}  // namespace parley
