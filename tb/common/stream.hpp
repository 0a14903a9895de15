// SPDX-License-Identifier: Apache-2.0
// Both ends of a valid/ready stream, with random stalls, independent of how a model spells its ports.
//
//   const Item* item = source.begin();          // null: valid is low in this cycle
//   dut.valid_i = item != nullptr; if (item) { ... drive fields ... }
//   dut.ready_i = sink.begin();
//   sim.settle();
//   source.end(dut.ready_o);                    // true when the item was taken
//   sink.end(dut.valid_o, [&] { return Item{...}; });
//   sim.edge();
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <stdexcept>
#include <utility>

#include "tb/common/rng.hpp"

namespace kvsink::tb {

/// What breaks the rules of a stream: valid withdrawn, or the payload changed while it waited.
class StreamError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Drives a stream: items in order; valid, once raised, stays until taken.
template <class T>
class Source {
 public:
  Source() = default;
  explicit Source(Stall stall) : stall_(stall) {}
  Source(const Rng& rng, unsigned percent, unsigned longest = 1) : stall_(rng, percent, longest) {}

  void push(T item) { items_.push_back(std::move(item)); }
  [[nodiscard]] size_t pending() const { return items_.size(); }
  [[nodiscard]] bool empty() const { return items_.empty(); }
  [[nodiscard]] size_t taken() const { return taken_; }
  Stall& stall() { return stall_; }

  /// The item to show in this cycle, or null. Call once a cycle.
  const T* begin() {
    if (!raised_) {
      const bool hold = stall_.now();
      raised_ = !hold && !items_.empty();
    }
    return raised_ ? &items_.front() : nullptr;
  }
  /// End of the cycle: true when the item was taken.
  bool end(bool ready) {
    if (!raised_ || !ready) return false;
    items_.pop_front();
    raised_ = false;
    ++taken_;
    return true;
  }
  /// Drops what is queued, also an item that is being shown (for resets).
  void clear() {
    items_.clear();
    raised_ = false;
  }

 private:
  Stall stall_;
  std::deque<T> items_;
  bool raised_ = false;
  size_t taken_ = 0;
};

/// Takes a stream, and checks that nothing changes while it waits. T needs ==.
template <class T>
class Sink {
 public:
  Sink() = default;
  explicit Sink(Stall stall) : stall_(stall) {}
  Sink(const Rng& rng, unsigned percent, unsigned longest = 1) : stall_(rng, percent, longest) {}

  Stall& stall() { return stall_; }
  /// What was taken and not yet fetched.
  std::deque<T> items;
  [[nodiscard]] size_t taken() const { return taken_; }

  /// Ready for this cycle. Call once a cycle.
  bool begin() {
    ready_ = !stall_.now();
    return ready_;
  }
  /// End of the cycle; `read` makes the item from the ports. True when an item was taken.
  template <class Read>
  bool end(bool valid, Read&& read) {
    if (!valid) {
      if (waiting_) throw StreamError("valid was withdrawn before ready");
      return false;
    }
    T item = read();
    if (waiting_ && !(*waiting_ == item)) throw StreamError("the payload changed while it waited");
    if (!ready_) {
      waiting_ = std::move(item);
      return false;
    }
    waiting_.reset();
    items.push_back(std::move(item));
    ++taken_;
    return true;
  }
  void clear() {
    items.clear();
    waiting_.reset();
  }

 private:
  Stall stall_;
  bool ready_ = false;
  std::optional<T> waiting_;
  size_t taken_ = 0;
};

}  // namespace kvsink::tb
