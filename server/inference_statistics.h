// What one model has done so far.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>

#include "server/request_times.h"

namespace torchdeploy::server {

struct CountedDuration {
  uint64_t count = 0;
  uint64_t ns = 0;
};

// The parts of a call. Source: compute_... of the protocol's InferStatistics.
struct CallDurations {
  CountedDuration input;   // From leaving the queue: joining a batch.
  CountedDuration infer;   // The call of the model.
  CountedDuration output;  // Writing the response.
};

struct StatisticsSnapshot {
  uint64_t rows = 0;   // Of successful requests.
  uint64_t calls = 0;  // Of the model, that succeeded.
  std::chrono::system_clock::time_point last_answer;
  CountedDuration success;  // From the request to the response.
  CountedDuration failure;
  CountedDuration queue;                           // Of successful requests.
  CallDurations call;                              // Of successful requests.
  std::map<int64_t, CallDurations> by_batch_rows;  // Of successful calls.
};

// Thread-safe.
class InferenceStatistics {
 public:
  using TimePoint = RequestTimes::TimePoint;

  void RecordSuccess(const RequestTimes& times, TimePoint begin, TimePoint end);
  void RecordFailure(TimePoint begin, TimePoint end);

  [[nodiscard]] StatisticsSnapshot Get() const;

 private:
  mutable std::mutex mutex_;
  StatisticsSnapshot sum_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
