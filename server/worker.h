// Work that is done in its order, on a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Thread-safe.
class Worker {
 public:
  // kResourceExhausted: no thread can be started.
  static Result<std::shared_ptr<Worker>> Start();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Stop(). REQUIRES: not on the worker's thread.
  ~Worker();

  // `work` must not throw. False when the worker has stopped: it will not be done.
  [[nodiscard]] bool Post(std::function<void()> work);

  // Takes no more work and returns when what was taken is done.
  void Stop();

 private:
  Worker() = default;
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> posted_;  // Guarded by mutex_.
  bool is_stopped_ = false;                   // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace torchdeploy::server
