// Which inferences are let in, and the wait until those are answered.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Closed while models are loaded, then open, then closed for good. Thread-safe.
class ServingGate {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  enum class State { kLoading, kOpen, kClosed };

  // Held for as long as an inference that was let in is not over.
  class Pass {
   public:
    Pass(ServingGate& gate, size_t bytes) : gate_(gate), bytes_(bytes) {}
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() { gate_.Leave(bytes_); }

   private:
    ServingGate& gate_;
    const size_t bytes_;
  };

  // `most_bytes`: of all requests that are inside. 0: no limit.
  explicit ServingGate(size_t most_bytes = 0) : most_bytes_(most_bytes) {}

  [[nodiscard]] State state() const;
  // Why it was not open when somebody looked: kUnavailable.
  [[nodiscard]] Status WhyClosed() const;

  // Whether Enter() asks for the size of a request.
  [[nodiscard]] bool counts_bytes() const { return most_bytes_ > 0; }

  // From kLoading to kOpen; nothing when it is closed.
  void Open();

  // kUnavailable unless the gate is open; kResourceExhausted when there are too many bytes inside.
  // The gate outlives the pass.
  [[nodiscard]] Result<std::unique_ptr<Pass>> Enter(size_t bytes);

  // Lets nobody in any more, and returns when every pass has been given back: true; or else at
  // `latest`: false.
  bool CloseAndWait(TimePoint latest = TimePoint::max());

 private:
  void Leave(size_t bytes);
  // REQUIRES: mutex_ is held.
  [[nodiscard]] Status Closed() const;

  const size_t most_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable emptied_;
  // Guarded by mutex_.
  State state_ = State::kLoading;
  size_t inside_ = 0;
  size_t bytes_inside_ = 0;
};

}  // namespace torchdeploy::server
