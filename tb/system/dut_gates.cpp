// SPDX-License-Identifier: Apache-2.0
// The mapped netlist of the small configuration in place of its RTL, and nothing else: scripts/synth/gates.py.
#include "Vkvsink_gates.h"
#include "Vkvsink_gates___024root.h"

#define KVSINK_DUT_GATES
#include "tb/system/dut_impl.hpp"

namespace kvsink::tb {

std::unique_ptr<Dut> make_dut(std::string_view config, uint64_t seed) {
  if (config == "small") return std::make_unique<DutImpl<Vkvsink_gates>>(seed);
  return nullptr;
}

}  // namespace kvsink::tb
