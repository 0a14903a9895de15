// SPDX-License-Identifier: Apache-2.0
#include "Vkvsink_default.h"
#include "Vkvsink_default___024root.h"

#include "tb/system/dut_impl.hpp"

namespace kvsink::tb {

std::unique_ptr<Dut> make_dut_default(uint64_t seed) { return std::make_unique<DutImpl<Vkvsink_default>>(seed); }

}  // namespace kvsink::tb
