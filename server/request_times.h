// When what became of a request.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

namespace torchdeploy::server {

// A request that ended before its call has no more than `arrival`.
struct RequestTimes {
  using TimePoint = std::chrono::steady_clock::time_point;

  TimePoint arrival;   // In the queue.
  TimePoint taken;     // Out of it, by a free interpreter.
  TimePoint called;    // Joined with the others of its batch.
  TimePoint returned;  // The call of the model.
  int64_t rows = 1;
  int64_t batch_rows = 0;
  // Shared by the requests of one call: whether one of them has counted it. Null without a call.
  std::shared_ptr<std::atomic_flag> is_counted = nullptr;
};

}  // namespace torchdeploy::server
