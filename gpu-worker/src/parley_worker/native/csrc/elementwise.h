// What happens to each row between the products. Every row's result depends on that row alone, to the bit.
#pragma once

#include <cstdint>

namespace parley {

// out = row / sqrt(mean(row^2) + epsilon) * weight. out may be row.
void normalize(const float* row, const float* weight, int64_t size, float epsilon, float* out);

// Turns a head by its position, in place: head * cos + (its halves swapped) * sin. sin has the minus of the turn in it.
void rotate(float* head, const float* cos, const float* sin, int64_t head_dim);

// out = gate / (1 + e^-gate) * up. out may be gate.
void activate(const float* gate, const float* up, int64_t size, float* out);

}  // namespace parley
