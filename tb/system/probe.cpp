// SPDX-License-Identifier: Apache-2.0
#include "tb/system/probe.hpp"

namespace kvsink::tb {
namespace {
// The C function that the model calls carries no user data, so the Dut being evaluated is kept here.
thread_local Probe* current = nullptr;
}  // namespace

ProbeScope::ProbeScope(Probe& probe) : before_(current) { current = &probe; }
ProbeScope::~ProbeScope() { current = before_; }

}  // namespace kvsink::tb

extern "C" void kvsink_monitor(int kind, uint64_t f0, uint64_t f1, uint64_t f2, uint64_t f3, uint64_t f4, uint64_t f5,
                               uint64_t f6, uint64_t f7, uint64_t f8, uint64_t f9) {
  using namespace kvsink::tb;
  if (current == nullptr) return;
  current->events.push_back({static_cast<ProbeKind>(kind), current->cycle, {f0, f1, f2, f3, f4, f5, f6, f7, f8, f9}});
}
