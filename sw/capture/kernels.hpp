// SPDX-License-Identifier: Apache-2.0
// The inner loops of the forward pass. Each sums in an order that the source fixes, in lanes of double, and without
// fused multiply-add, so that every processor gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sw/trace/safetensors.hpp"

namespace kvsink::capture {

/// n elements at any address, of type F32, F16 or BF16, as double: exact. No NaN and no infinity among F16.
void widen(trace::DType dtype, const std::byte* from, std::size_t n, double* to);

/// Index of the first NaN or infinity, or n. F32, F16 or BF16.
std::size_t first_not_finite(trace::DType dtype, const std::byte* from, std::size_t n);

/// sum a[i] * b[i]
double dot(const double* a, const double* b, std::size_t n);
/// sum a[i] * b[i], b in fp16 bits
double dot_half(const double* a, const std::uint16_t* b, std::size_t n);
/// y[i] += w * x[i]
void add_scaled(double* y, double w, const double* x, std::size_t n);
/// y[i] += w * x[i], x in fp16 bits
void add_scaled_half(double* y, double w, const std::uint16_t* x, std::size_t n);

/// Rows begin..end-1 of a matrix of `cols` columns times `batch` vectors: out[b * stride + r] = sum_c w[r][c] x[b][c].
/// `row` has room for cols doubles.
void matrix_rows(trace::DType dtype, const std::byte* w, std::size_t begin, std::size_t end, std::size_t cols,
                 const double* x, std::size_t batch, double* out, std::size_t stride, double* row);

}  // namespace kvsink::capture
