#include "runtime/src/cancellation.h"

#include <memory>
#include <mutex>
#include <vector>

#include "runtime/src/endable_call.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

Cancellation::Cancellation() : state_(std::make_shared<CancellationState>()) {}

void Cancellation::Cancel() const {
  state_->Cancel();
}

bool Cancellation::is_cancelled() const {
  return state_->is_cancelled();
}

bool CancellationState::Add(const std::shared_ptr<EndableCall>& call) {
  const std::lock_guard lock(mutex_);
  if (cancelled_) {
    return false;
  }
  if (calls_.size() == calls_.capacity()) {
    std::erase_if(calls_, [](const std::weak_ptr<EndableCall>& old) { return old.expired(); });
    calls_.reserve(2 * calls_.size() + 1);
  }
  calls_.push_back(call);
  return true;
}

void CancellationState::Cancel() {
  std::vector<std::weak_ptr<EndableCall>> calls;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    calls.swap(calls_);
  }
  for (const std::weak_ptr<EndableCall>& weak : calls) {
    if (const std::shared_ptr<EndableCall> call = weak.lock(); call != nullptr) {
      call->EndEarly(Status(Code::kCancelled, "The call was cancelled."));
    }
  }
}

bool CancellationState::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

}  // namespace torchdeploy
