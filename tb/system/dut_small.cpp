// SPDX-License-Identifier: Apache-2.0
#include "Vkvsink_small.h"
#include "Vkvsink_small___024root.h"

#include "tb/system/dut_impl.hpp"

namespace kvsink::tb {

std::unique_ptr<Dut> make_dut_small(uint64_t seed) { return std::make_unique<DutImpl<Vkvsink_small>>(seed); }

}  // namespace kvsink::tb
