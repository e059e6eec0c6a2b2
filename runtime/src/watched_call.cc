#include "runtime/src/watched_call.h"

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/call_watch.h"
#include "runtime/src/cancellation.h"  // IWYU pragma: keep (behind a pointer)
#include "runtime/src/engine.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/invariant.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

Result<Value> CallIn(size_t slot, const ReplicaCall& call) {
  const Result<std::shared_ptr<const EngineObject>> replica = call.replicas->ReplicaIn(slot);
  if (!replica.ok()) {
    return replica.status();
  }
  Engine& engine = (*replica)->engine();
  if (call.method.empty()) {
    return engine.Call((*replica)->id(), call.args, call.kwargs, call.aliased);
  }
  const Result<td_object> attribute = engine.Attribute((*replica)->id(), call.method);
  if (!attribute.ok()) {
    return attribute.status();
  }
  const EngineObject method(engine, *attribute);
  return engine.Call(method.id(), call.args, call.kwargs, call.aliased);
}

void Deliver(const ReplicatedObj::Callback& done, Result<Value> result) {
  try {
    done(std::move(result));
  } catch (const std::exception& error) {
    AbortBroken(std::string("A callback of CallAsync threw: ") + error.what());
  } catch (...) {
    AbortBroken("A callback of CallAsync threw.");
  }
}

WatchedCall::WatchedCall(ReplicaCall request, ReplicatedObj::Callback done)
    : request_(std::move(request)), done_(std::move(done)) {}

std::shared_ptr<WatchedCall> WatchedCall::Make(ReplicaCall request, const CallOptions& options,
                                               ReplicatedObj::Callback done) {
  auto call = std::make_shared<WatchedCall>(std::move(request), std::move(done));
  if (options.cancellation.has_value() && !options.cancellation->state_->Add(call)) {
    call->Answer(Status(Code::kCancelled, "The call was cancelled before it was made."));
    return nullptr;
  }
  if (options.deadline.has_value()) {
    call->request_.replicas->pool()->watch().EndAt(*options.deadline, call);
  }
  return call;
}

void WatchedCall::Begin(ReplicaCall request, const CallOptions& options,
                        ReplicatedObj::Callback done) {
  const auto call = Make(std::move(request), options, std::move(done));
  if (call == nullptr) {
    return;
  }
  SlotScheduler::Job job = [call](size_t slot) { call->RunIn(slot); };
  const Status accepted = call->request_.replicas->pool()->scheduler()->Submit(job, {});
  if (!accepted.ok()) {
    call->Answer(accepted);
  }
}

void WatchedCall::BeginIn(size_t slot, ReplicaCall request, const CallOptions& options,
                          ReplicatedObj::Callback done) {
  if (const auto call = Make(std::move(request), options, std::move(done)); call != nullptr) {
    call->RunIn(slot);
  }
}

void WatchedCall::RunIn(size_t slot) {
  {
    const std::lock_guard lock(mutex_);
    if (done_ == nullptr) {
      return;
    }
    slot_ = slot;
    running_in_ = &request_.replicas->pool()->engine(slot);
  }
  Result<Value> result = CallIn(slot, request_);
  {
    // From here on it cannot be interrupted: the next call of the interpreter would be hit.
    const std::lock_guard lock(mutex_);
    running_in_ = nullptr;
  }
  Answer(std::move(result));
}

void WatchedCall::Answer(Result<Value> result) {
  ReplicatedObj::Callback done;
  {
    const std::lock_guard lock(mutex_);
    done = std::exchange(done_, nullptr);
  }
  if (done != nullptr) {
    Deliver(done, std::move(result));
  }
}

void WatchedCall::EndEarly(const Status& status) {
  ReplicatedObj::Callback done;
  bool runs = false;
  {
    const std::lock_guard lock(mutex_);
    done = std::exchange(done_, nullptr);
    runs = done != nullptr && InterruptLocked();
  }
  if (runs) {
    request_.replicas->pool()->watch().FollowUp(shared_from_this());
  }
  if (done != nullptr) {
    Deliver(done, status);
  }
}

bool WatchedCall::Interrupt() {
  const std::lock_guard lock(mutex_);
  return InterruptLocked();
}

bool WatchedCall::InterruptLocked() {
  if (running_in_ == nullptr) {
    return false;
  }
  running_in_->Interrupt();
  return true;
}

void WatchedCall::LeaveBehind() {
  const std::lock_guard lock(mutex_);
  if (running_in_ != nullptr) {
    running_in_ = nullptr;
    request_.replicas->pool()->ReplaceSoon(slot_);
  }
}

}  // namespace torchdeploy
