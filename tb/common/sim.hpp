// SPDX-License-Identifier: Apache-2.0
// Clock, reset, waveform and end of a Verilated model that has the ports clk_i and rst_ni.
//
// A cycle has two halves. Drive the inputs, then settle(): the outputs are now what the rising edge at the end of the
// cycle sees, so handshakes are judged here. Then edge(): the clock rises.
//
//   drive inputs -> settle() -> look at outputs -> edge() -> drive inputs of the next cycle -> ...
//
// step() is both, for cycles in which nobody looks. A failed assertion, $error or $finish in the design ends the run
// with a SimError that names the cycle.
#pragma once

#include <verilated.h>
#if VM_TRACE_FST
#include <verilated_fst_c.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "tb/common/rng.hpp"

namespace kvsink::tb {

class SimError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class V>
class Sim {
 public:
  /// `seed` sets what uninitialised state starts with. KVSINK_FST=FILE in the environment records waveforms, when the
  /// model was built with them.
  explicit Sim(uint64_t seed = seed_from_env()) : context_(std::make_unique<VerilatedContext>()) {
    context_->randReset(2);
    context_->randSeed(static_cast<int>(mix64(seed) & 0x7fffffff));
    context_->fatalOnError(false);  // a test case must see the failure, not the end of the program
    context_->traceEverOn(true);
    model_ = std::make_unique<V>(context_.get());
    if (const char* file = std::getenv("KVSINK_FST"); file != nullptr && *file != '\0') open_fst(file);
    model_->clk_i = 0;
    model_->rst_ni = 0;
  }
  ~Sim() {
    // A model's end acts on the context of this thread, which is that of the model that ran last.
    Verilated::threadContextp(context_.get());
    if (model_ != nullptr) model_->final();
#if VM_TRACE_FST
    if (fst_ != nullptr) fst_->close();
#endif
  }
  Sim(const Sim&) = delete;
  Sim& operator=(const Sim&) = delete;

  V& operator*() { return *model_; }
  V* operator->() { return model_.get(); }
  [[nodiscard]] uint64_t cycle() const { return cycle_; }
  VerilatedContext& context() { return *context_; }

  /// Records waveforms from now on. False when the model has none compiled in, or the file cannot be written.
  bool open_fst(const std::string& path) {
#if VM_TRACE_FST
    if constexpr (V::traceCapable) {
      fst_ = std::make_unique<VerilatedFstC>();
      model_->trace(fst_.get(), 99);
      fst_->open(path.c_str());
      if (fst_->isOpen()) return true;
      fst_.reset();
    }
#endif
    static_cast<void>(path);
    return false;
  }

  /// Holds reset for `cycles`; drive idle inputs before. The cycle count goes on.
  void reset(unsigned cycles = 4) {
    model_->rst_ni = 0;
    for (unsigned i = 0; i < cycles; ++i) step();
    model_->rst_ni = 1;
  }

  void settle() {
    model_->clk_i = 0;
    evaluate();
  }
  void edge() {
    model_->clk_i = 1;
    evaluate();
    ++cycle_;
  }
  void step() {
    settle();
    edge();
  }

  /// Calls `tick` (one whole cycle of the bench) until `done` says so; a SimError after `limit` calls.
  template <class Tick, class Done>
  void run_until(Tick&& tick, Done&& done, uint64_t limit, const char* what = "the bench") {
    for (uint64_t i = 0; !done(); ++i) {
      if (i == limit) {
        throw SimError(std::string(what) + " is not done after " + std::to_string(limit) + " cycles (cycle " +
                       std::to_string(cycle_) + ")");
      }
      tick();
    }
  }

 private:
  void evaluate() {
    model_->eval();
#if VM_TRACE_FST
    if (fst_ != nullptr) fst_->dump(context_->time());
#endif
    context_->timeInc(1);
    if (context_->gotError() || context_->gotFinish()) [[unlikely]] {
      throw SimError("the design stopped the run in cycle " + std::to_string(cycle_) + " (its message is above)");
    }
  }

  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<V> model_;
#if VM_TRACE_FST
  std::unique_ptr<VerilatedFstC> fst_;
#endif
  uint64_t cycle_ = 0;
};

}  // namespace kvsink::tb
