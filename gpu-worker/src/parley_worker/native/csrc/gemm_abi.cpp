// Pools, matrices and products for callers outside C++: handles, pointers and 64-bit integers.
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>

#include "gemm.h"
#include "matrix.h"
#include "pool.h"
#include "shares.h"

using namespace parley;

extern "C" {

// Null when the system has no thread or memory left.
Pool* parley_pool_create(int64_t threads) {
    try {
        return new Pool(int(threads));
    } catch (const std::exception&) {
        return nullptr;
    }
}

void parley_pool_delete(Pool* pool) { delete pool; }

// The number of threads there are now.
int64_t parley_pool_resize(Pool* pool, int64_t threads) {
    try {
        pool->resize(int(threads));
    } catch (const std::system_error&) {
        // The pool works with fewer; the caller reads how many.
    }
    return pool->threads();
}

void parley_pool_fork(Pool* pool, Pool::Work work, void* context) { pool->fork(work, context); }

void parley_pool_barrier(Pool* pool, bool (*meanwhile)()) { pool->barrier(meanwhile); }

// Null without memory.
Shares* parley_shares_create(int64_t threads) {
    try {
        auto shares = std::make_unique<Shares>();
        shares->resize(int(threads));
        return shares.release();
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void parley_shares_delete(Shares* shares) { delete shares; }

// Shares::divide.
void parley_shares_divide(Shares* shares, int64_t count, int64_t thread, void (*work)(int64_t first, int64_t last)) {
    shares->divide(count, int(thread), [&](const Run& run) { work(run.first, run.last); });
}

// Null without memory.
std::shared_ptr<Arena>* parley_arena_create() {
    try {
        return new std::shared_ptr<Arena>(std::make_shared<Arena>());
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

// The arena itself lasts until the last of its matrices is deleted.
void parley_arena_delete(std::shared_ptr<Arena>* arena) { delete arena; }

// Null when a size is out of range or memory is lacking.
Matrix* parley_matrix_create(const std::shared_ptr<Arena>* arena, int64_t format, int64_t outputs, int64_t inputs) {
    try {
        return new Matrix(Format(format), outputs, inputs, *arena);
    } catch (const std::exception&) {
        return nullptr;
    }
}

void parley_matrix_delete(Matrix* matrix) { delete matrix; }

int64_t parley_matrix_bytes(const Matrix* matrix) { return matrix->bytes(); }

// Matrix::fill, as a Status.
int64_t parley_matrix_fill(Matrix* matrix, int64_t first, int64_t count, const void* rows, int64_t source) {
    try {
        return int64_t(matrix->fill(first, count, rows, Source(source)));
    } catch (const std::bad_alloc&) {
        return int64_t(Status::no_memory);
    }
}

int64_t parley_matrix_fill_bias(Matrix* matrix, int64_t first, int64_t count, const void* values, int64_t source) {
    try {
        return int64_t(matrix->fill_bias(first, count, values, Source(source)));
    } catch (const std::bad_alloc&) {
        return int64_t(Status::no_memory);
    }
}

int64_t parley_matrix_unpack(const Matrix* matrix, int64_t output, float* row) {
    if (output < 0 || output >= matrix->outputs()) return int64_t(Status::out_of_range);
    matrix->unpack(output, row);
    return int64_t(Status::ok);
}

int64_t parley_row_stride(int64_t numbers) { return row_stride(numbers); }

int64_t parley_code_stride(int64_t inputs) { return code_stride(inputs); }

// Quantizes `count` rows of `inputs` numbers, value_stride floats apart, split over the pool.
void parley_quantize(Pool* pool, const float* values, int64_t value_stride, int64_t count, int64_t inputs,
                     std::byte* codes, float* scales) {
    pool->fork([&](int thread, int threads) {
        for (int64_t r = count * thread / threads; r < count * (thread + 1) / threads; ++r) {
            scales[r] = quantize(values + r * value_stride, inputs, codes + r * code_stride(inputs));
        }
    });
}

void parley_multiply(Pool* pool, const Matrix* matrix, int64_t count, const float* values, int64_t value_stride,
                     const std::byte* codes, const float* scales, float* out, int64_t out_stride, int64_t add) {
    const Rows rows{count, values, value_stride, codes, code_stride(matrix->inputs()), scales};
    Shares shares;
    shares.resize(pool->threads());
    pool->fork([&](int thread, int) { multiply(*matrix, rows, {out, out_stride, add != 0}, shares, thread); });
}

}  // extern "C"
