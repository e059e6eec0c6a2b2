#include "python/torchdeploy_pkg/_bindings/host_entries.h"

#include <chrono>
#include <cstddef>
#include <mutex>
#include <thread>

#include <pybind11/pybind11.h>

namespace torchdeploy {

namespace {

thread_local size_t depth = 0;

[[noreturn]] void SleepUntilTheProcessIsGone() {
  for (;;) {
    std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

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
    SleepUntilTheProcessIsGone();
  }
  ++inside_;
}

void HostEntries::Leave() {
  if (--depth > 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  --inside_;
  changed_.notify_all();
}

void HostEntries::GoAway() {
  const std::lock_guard lock(mutex_);
  ++away_;
  changed_.notify_all();
}

void HostEntries::ComeBack() {
  std::unique_lock lock(mutex_);
  if (gave_up_ && std::this_thread::get_id() != ending_thread_) {
    lock.unlock();
    SleepUntilTheProcessIsGone();
  }
  --away_;
}

bool HostEntries::BeginToSettle() {
  const std::lock_guard lock(mutex_);
  if (!settling_ended_) {
    ++settling_;
  }
  return !settling_ended_;
}

void HostEntries::EndToSettle() {
  const std::lock_guard lock(mutex_);
  --settling_;
  changed_.notify_all();
}

void HostEntries::End(Deadline deadline) {
  std::unique_lock lock(mutex_);
  ended_ = true;
  is_over_.store(true);
  ending_thread_ = std::this_thread::get_id();
  gave_up_ = !changed_.wait_until(lock, deadline, [this] { return inside_ == 0; });
  // Who is not away needs only the GIL to go on, until it leaves.
  changed_.wait(lock, [this] { return inside_ == away_; });
}

void HostEntries::EndSettling(Deadline deadline) {
  std::unique_lock lock(mutex_);
  settling_ended_ = true;
  changed_.wait_until(lock, deadline, [this] { return settling_ == 0; });
}

}  // namespace torchdeploy
