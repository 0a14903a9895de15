// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/threads.hpp"

#include <algorithm>

namespace kvsink::capture {
namespace {

/// Multiplications that take about as long as waking a thread.
constexpr std::size_t kWorthwhile = 200'000;

}  // namespace

Threads::Threads(unsigned count) {
  if (count == 0) {
    count = std::max(1U, std::thread::hardware_concurrency());
  }
  workers_.reserve(count - 1);
  for (unsigned i = 1; i < count; ++i) {
    workers_.emplace_back([this, i] { work(i); });
  }
}

Threads::~Threads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) {
    worker.join();
  }
}

void Threads::run_part(unsigned index) {
  const std::size_t begin = n_ * index / count();
  const std::size_t end = n_ * (index + 1) / count();
  if (begin < end) {
    (*body_)(begin, end);
  }
}

void Threads::work(unsigned index) {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    start_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) {
      return;
    }
    seen = round_;
    lock.unlock();
    run_part(index);
    lock.lock();
    if (--busy_ == 0) {
      done_.notify_one();
    }
  }
}

void Threads::loop(std::size_t n, std::size_t work, const std::function<void(std::size_t, std::size_t)>& body) {
  if (workers_.empty() || n < 2 || n * std::max<std::size_t>(work, 1) < kWorthwhile) {
    if (n > 0) {
      body(0, n);
    }
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    n_ = n;
    body_ = &body;
    busy_ = static_cast<unsigned>(workers_.size());
    ++round_;
  }
  start_.notify_all();
  run_part(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return busy_ == 0; });
}

}  // namespace kvsink::capture
