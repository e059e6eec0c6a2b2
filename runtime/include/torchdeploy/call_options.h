// When a call ends before it has an answer.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

namespace torchdeploy {

class CancellationState;  // Internal.

// Copies are the same cancellation. Thread-safe.
class Cancellation {
 public:
  Cancellation();

  // Ends every call that was made with this, and refuses each later one, with kCancelled.
  // Callbacks of those calls run on this thread.
  void Cancel() const;
  [[nodiscard]] bool is_cancelled() const;

 private:
  friend class WatchedCall;
  std::shared_ptr<CancellationState> state_;
};

// A call that is ended early answers at once. If it runs by then, an exception is raised in its
// interpreter, as if Python had been interrupted. What still runs 10 s later, such as native
// code that does not return, is left behind: another interpreter takes the place of its
// interpreter, whose memory is lost until the process ends.
struct CallOptions {
  // Answers kDeadlineExceeded from then on, wherever the call is, in the queue too.
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  std::optional<Cancellation> cancellation = {};
};

}  // namespace torchdeploy
