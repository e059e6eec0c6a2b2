#include "server/serving_gate.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

ServingGate::State ServingGate::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

Status ServingGate::WhyClosed() const {
  const std::lock_guard lock(mutex_);
  return Closed();
}

Status ServingGate::Closed() const {
  return {Code::kUnavailable, state_ == State::kLoading ? "the server is still loading its models"
                                                        : "the server is stopping"};
}

void ServingGate::Open() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kLoading) {
    state_ = State::kOpen;
  }
}

Result<std::unique_ptr<ServingGate::Pass>> ServingGate::Enter(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kOpen) {
    return Closed();
  }
  if (counts_bytes() && (bytes > most_bytes_ || bytes_inside_ > most_bytes_ - bytes)) {
    return Status(Code::kResourceExhausted,
                  "the request has " + std::to_string(bytes) + " bytes, and those that are not " +
                      "answered yet have " + std::to_string(bytes_inside_) + "; " +
                      std::to_string(most_bytes_) + " together are the most");
  }
  ++inside_;
  bytes_inside_ += bytes;
  return std::make_unique<Pass>(*this, bytes);
}

bool ServingGate::CloseAndWait(TimePoint latest) {
  std::unique_lock lock(mutex_);
  state_ = State::kClosed;
  const auto is_empty = [this] { return inside_ == 0; };
  // The longest wait of a condition variable overflows in the standard library.
  if (latest == TimePoint::max()) {
    emptied_.wait(lock, is_empty);
    return true;
  }
  return emptied_.wait_until(lock, latest, is_empty);
}

void ServingGate::Leave(size_t bytes) {
  const std::lock_guard lock(mutex_);
  --inside_;
  bytes_inside_ -= bytes;
  emptied_.notify_all();
}

}  // namespace torchdeploy::server
