// SPDX-License-Identifier: Apache-2.0
// Arrays that other tools save: npy (NEP 1), npz (a zip of npy files), safetensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sw/trace/result.hpp"

namespace kvsink::capture {

/// An array as double, in the order of its shape (last axis fastest).
struct Array {
  std::vector<std::uint64_t> shape;
  std::vector<double> data;
};

/// Reads an array by the name's ending (.npy, .npz, .safetensors) and, for the last two, its name in the file. Floating
/// point of 2, 4 and 8 bytes and whole numbers are taken, little-endian. Refused with one line: another type (objects,
/// complex, big-endian), Fortran order, a header that is not understood, data that are cut short or too long, a name
/// that is not there.
Result<Array> read_array(const std::string& path, const std::string& name);

}  // namespace kvsink::capture
