// SPDX-License-Identifier: Apache-2.0
// What did not agree, told so that a person can look at it: unit, cycle, request, what was expected and what came.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvsink::tb {

struct Difference {
  std::string unit;    // unit whose contract is broken, as far as it can be told
  uint64_t cycle = 0;  // simulation cycle in which it showed
  std::string what;    // request or command, what was expected, what came
};

/// Keeps the first `limit` differences and counts all.
class Differences {
 public:
  explicit Differences(std::size_t limit = 16) : limit_(limit) {}

  void add(std::string unit, uint64_t cycle, std::string what) {
    ++count_;
    if (first_.size() < limit_) first_.push_back({std::move(unit), cycle, std::move(what)});
  }
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] const std::vector<Difference>& first() const { return first_; }

 private:
  std::size_t limit_;
  uint64_t count_ = 0;
  std::vector<Difference> first_;
};

}  // namespace kvsink::tb
