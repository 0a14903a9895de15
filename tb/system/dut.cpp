// SPDX-License-Identifier: Apache-2.0
#include "tb/system/dut.hpp"

namespace kvsink::tb {

std::unique_ptr<Dut> make_dut_small(uint64_t seed);
std::unique_ptr<Dut> make_dut_default(uint64_t seed);
std::unique_ptr<Dut> make_dut_large(uint64_t seed);

std::unique_ptr<Dut> make_dut(std::string_view config, uint64_t seed) {
  if (config == "small") return make_dut_small(seed);
  if (config == "default") return make_dut_default(seed);
  if (config == "large") return make_dut_large(seed);
  return nullptr;
}

}  // namespace kvsink::tb
