#include "server/inference_statistics.h"

#include <chrono>
#include <cstdint>
#include <mutex>

#include "server/request_times.h"

namespace torchdeploy::server {

namespace {

using TimePoint = RequestTimes::TimePoint;

void Add(CountedDuration& sum, TimePoint begin, TimePoint end) {
  ++sum.count;
  sum.ns += static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
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

void InferenceStatistics::RecordFailure(TimePoint begin, TimePoint end) {
  const std::lock_guard lock(mutex_);
  Add(sum_.failure, begin, end);
}

StatisticsSnapshot InferenceStatistics::Get() const {
  const std::lock_guard lock(mutex_);
  return sum_;
}

}  // namespace torchdeploy::server
