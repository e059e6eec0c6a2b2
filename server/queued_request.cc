#include "server/queued_request.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "server/joined_arguments.h"
#include "server/request_times.h"
#include "server/timer.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

QueuedRequest::QueuedRequest(Request request, const Rank& rank, std::optional<Rows> rows)
    : arguments_(std::move(request.arguments)),
      method_(std::move(request.method)),
      taken_(std::move(request.taken)),
      rank_(rank),
      rows_(std::move(rows)),
      deadline_(request.deadline),
      done_(std::move(request.done)) {}

void QueuedRequest::WatchDeadline(Timer& timer) {
  if (!deadline_.has_value()) {
    return;
  }
  at_deadline_ = timer.At(*deadline_, [weak = weak_from_this()] {
    if (const auto self = weak.lock(); self != nullptr) {
      self->EndEarly({Code::kDeadlineExceeded, "The request was over its timeout."});
    }
  });
}

bool QueuedRequest::HandTo(std::function<void()> leave) {
  const std::lock_guard lock(mutex_);
  if (done_ == nullptr) {
    return false;
  }
  leave_ = std::move(leave);
  return true;
}

void QueuedRequest::TakenIn(size_t slot) const {
  if (taken_ != nullptr) {
    taken_(slot);
  }
}

bool QueuedRequest::Answer(Result<Value> result, RequestTimes times) {
  Request::Done done;
  {
    const std::lock_guard lock(mutex_);
    done = std::exchange(done_, nullptr);
  }
  if (done == nullptr) {
    return false;
  }
  times.arrival = arrival_;
  times.rows = num_rows();
  done(std::move(result), times);
  return true;
}

void QueuedRequest::EndEarly(const Status& status) {
  if (!Answer(status)) {
    return;
  }
  std::function<void()> leave;
  {
    const std::lock_guard lock(mutex_);
    leave = std::exchange(leave_, nullptr);
  }
  if (leave != nullptr) {
    leave();
  }
}

}  // namespace torchdeploy::server
