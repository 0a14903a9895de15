// SPDX-License-Identifier: Apache-2.0
// A few threads that share loops. Who takes which part never changes a result: each index is worked on by one thread,
// in the same way.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kvsink::capture {

class Threads {
 public:
  /// `count` threads in all, the caller's included; 0: as many as the machine has.
  explicit Threads(unsigned count = 1);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  unsigned count() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// Runs body(begin, end) over parts of 0..n-1 and returns when all are done. `work` is the cost of one index in
  /// multiplications: loops too small to be worth waking anybody run here. The body must not throw.
  void loop(std::size_t n, std::size_t work, const std::function<void(std::size_t, std::size_t)>& body);

 private:
  void work(unsigned index);
  void run_part(unsigned index);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  std::uint64_t round_ = 0;
  unsigned busy_ = 0;
  bool stop_ = false;
  std::size_t n_ = 0;
  const std::function<void(std::size_t, std::size_t)>* body_ = nullptr;
};

}  // namespace kvsink::capture
