// Which inferences are let in, and the wait until those are answered.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace torchdeploy::server {

// Closed while models are loaded, then open, then closed for good. Thread-safe.
class ServingGate {
 public:
  enum class State { kLoading, kOpen, kClosed };

  // Held for as long as an inference that was let in is not over.
  class Pass {
   public:
    explicit Pass(ServingGate& gate) : gate_(gate) {}
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() { gate_.Leave(); }

   private:
    ServingGate& gate_;
  };

  [[nodiscard]] State state() const;

  // From kLoading to kOpen; nothing when it is closed.
  void Open();

  // Null unless the gate is open. The gate outlives the pass.
  [[nodiscard]] std::unique_ptr<Pass> Enter();

  // Lets nobody in any more and returns when every pass has been given back.
  void CloseAndWait();

 private:
  void Leave();

  mutable std::mutex mutex_;
  std::condition_variable emptied_;
  State state_ = State::kLoading;  // Guarded by mutex_.
  size_t inside_ = 0;              // Guarded by mutex_.
};

}  // namespace torchdeploy::server
