// SPDX-License-Identifier: Apache-2.0
#include "Vkvsink_large.h"
#include "Vkvsink_large___024root.h"

#include "tb/system/dut_impl.hpp"

namespace kvsink::tb {

std::unique_ptr<Dut> make_dut_large(uint64_t seed) { return std::make_unique<DutImpl<Vkvsink_large>>(seed); }

}  // namespace kvsink::tb
