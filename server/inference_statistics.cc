#include "server/inference_statistics.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "server/request_times.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

using TimePoint = RequestTimes::TimePoint;

void Add(CountedDuration& sum, TimePoint begin, TimePoint end) {
  const auto ns = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
  const auto* const bound = std::ranges::lower_bound(kDurationBoundsNs, ns);
  ++sum.count;
  sum.ns += ns;
  ++sum.by_bound[static_cast<size_t>(bound - kDurationBoundsNs.begin())];
}

void Add(CallDurations& sum, const RequestTimes& times, TimePoint end) {
  Add(sum.input, times.taken, times.called);
  Add(sum.infer, times.called, times.returned);
  Add(sum.output, times.returned, end);
}

}  // namespace

void InferenceStatistics::RecordSuccess(const RequestTimes& times, TimePoint begin, TimePoint end) {
  const std::lock_guard lock(mutex_);
  sum_.rows += static_cast<uint64_t>(times.rows);
  sum_.last_answer = std::chrono::system_clock::now();
  Add(sum_.success, begin, end);
  Add(sum_.queue, times.arrival, times.taken);
  Add(sum_.call, times, end);
  if (times.is_counted != nullptr && !times.is_counted->test_and_set()) {
    ++sum_.calls;
    Add(sum_.by_batch_rows[times.batch_rows], times, end);
  }
}

void InferenceStatistics::RecordFailure(Code code, TimePoint begin, TimePoint end) {
  const std::lock_guard lock(mutex_);
  ++sum_.failures[code];
  Add(sum_.failure, begin, end);
}

StatisticsSnapshot InferenceStatistics::Get() const {
  const std::lock_guard lock(mutex_);
  return sum_;
}

}  // namespace torchdeploy::server
