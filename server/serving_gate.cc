#include "server/serving_gate.h"

#include <memory>
#include <mutex>

namespace torchdeploy::server {

ServingGate::State ServingGate::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void ServingGate::Open() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kLoading) {
    state_ = State::kOpen;
  }
}

std::unique_ptr<ServingGate::Pass> ServingGate::Enter() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kOpen) {
    return nullptr;
  }
  ++inside_;
  return std::make_unique<Pass>(*this);
}

void ServingGate::CloseAndWait() {
  std::unique_lock lock(mutex_);
  state_ = State::kClosed;
  emptied_.wait(lock, [this] { return inside_ == 0; });
}

void ServingGate::Leave() {
  const std::lock_guard lock(mutex_);
  --inside_;
  emptied_.notify_all();
}

}  // namespace torchdeploy::server
