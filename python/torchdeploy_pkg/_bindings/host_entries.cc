#include "python/torchdeploy_pkg/_bindings/host_entries.h"

#include <chrono>
#include <cstddef>
#include <mutex>
#include <thread>

#include <pybind11/pybind11.h>

namespace torchdeploy {

namespace {

thread_local size_t depth = 0;

}  // namespace

HostEntries& HostEntries::OfProcess() {
  // Never destroyed: daemon threads use it until the process is gone.
  static auto* const entries = new HostEntries;  // NOLINT(cppcoreguidelines-owning-memory)
  return *entries;
}

void HostEntries::Enter() {
  if (depth++ > 0) {
    return;
  }
  std::unique_lock lock(mutex_);
  if (ended_ && std::this_thread::get_id() != ending_thread_) {
    lock.unlock();
    PyEval_SaveThread();
    for (;;) {
      std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  ++inside_;
}

void HostEntries::Leave() {
  if (--depth > 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  --inside_;
  left_.notify_all();
}

void HostEntries::End() {
  std::unique_lock lock(mutex_);
  ended_ = true;
  ending_thread_ = std::this_thread::get_id();
  left_.wait(lock, [this] { return inside_ == 0; });
}

}  // namespace torchdeploy
