// SPDX-License-Identifier: Apache-2.0
// The seed of this run, for every random choice a test makes: KVSINK_SEED (what `make verify SEED=` sets), or 1.
#pragma once

#include <cstdint>

namespace kvsink {

/// The seed of this run. The test program prints it whenever a case fails.
std::uint64_t test_seed();

}  // namespace kvsink
