// What the host has dropped and the interpreter must still destroy.
#include "interpreter_lib/src/release_queue.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace torchdeploy {

void ReleaseQueue::Push(std::unique_ptr<Releasable> item) noexcept {
  Releasable* const leaked = item.release();
  bool was_empty = false;
  try {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return;
    }
    was_empty = items_.empty();
    items_.emplace_back(nullptr);
    items_.back().reset(leaked);
    pending_.store(true, std::memory_order_release);
  } catch (const std::bad_alloc&) {
    return;  // A leak is the only thing left that needs neither memory nor a lock.
  }
  if (was_empty && notify_ != nullptr) {
    notify_(context_);
  }
}

void ReleaseQueue::Drain() noexcept {
  // Destroying an item can run Python code that pushes more.
  while (pending_.load(std::memory_order_acquire)) {
    std::vector<std::unique_ptr<Releasable>> taken;
    {
      const std::lock_guard lock(mutex_);
      pending_.store(false, std::memory_order_relaxed);
      taken.swap(items_);
    }
    taken.clear();
  }
}

void ReleaseQueue::Close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto& item : items_) {
    [[maybe_unused]] const Releasable* const leaked = item.release();
  }
  items_.clear();
  pending_.store(false, std::memory_order_relaxed);
}

}  // namespace torchdeploy
