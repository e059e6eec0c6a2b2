// Ending calls at their deadlines.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include "torchdeploy/status.h"

namespace torchdeploy {

class EndableCall;
struct WatchState;  // Internal.

// A thread of its own. Thread-safe.
class CallWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // kResourceExhausted: no thread can be started.
  static Result<std::unique_ptr<CallWatch>> Start();

  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;
  // Never waits; the thread ends soon, and may be this one.
  ~CallWatch();

  // Ends `call` with kDeadlineExceeded when the time has come, unless it is gone by then.
  void EndAt(Clock::time_point deadline, const std::shared_ptr<EndableCall>& call);
  // Interrupts `call`, which was ended early, again and again, and has it left behind in the end.
  void FollowUp(const std::shared_ptr<EndableCall>& call);

 private:
  explicit CallWatch(std::shared_ptr<WatchState> state) : state_(std::move(state)) {}

  const std::shared_ptr<WatchState> state_;
};

}  // namespace torchdeploy
