// What one model has done so far.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>

#include "server/request_times.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// Durations are counted apart by the first of these that they do not exceed.
inline constexpr std::array<uint64_t, 18> kDurationBoundsNs = {
    50'000,      100'000,       250'000,       500'000,        1'000'000,      2'500'000,
    5'000'000,   10'000'000,    25'000'000,    50'000'000,     100'000'000,    250'000'000,
    500'000'000, 1'000'000'000, 2'500'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000};

struct CountedDuration {
  uint64_t count = 0;
  uint64_t ns = 0;
  std::array<uint64_t, kDurationBoundsNs.size() + 1> by_bound = {};  // The last: longer ones.
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
  std::map<Code, uint64_t> failures;               // How many of each kind.
  CountedDuration queue;                           // Of successful requests.
  CallDurations call;                              // Of successful requests.
  std::map<int64_t, CallDurations> by_batch_rows;  // Of successful calls.
};

// Thread-safe.
class InferenceStatistics {
 public:
  using TimePoint = RequestTimes::TimePoint;

  void RecordSuccess(const RequestTimes& times, TimePoint begin, TimePoint end);
  void RecordFailure(Code code, TimePoint begin, TimePoint end);

  [[nodiscard]] StatisticsSnapshot Get() const;

 private:
  mutable std::mutex mutex_;
  StatisticsSnapshot sum_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
