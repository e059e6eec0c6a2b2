// Calls of an object that every interpreter has.
#include "torchdeploy/replicated_obj.h"

#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/engine_object.h"
#include "runtime/src/every_slot.h"
#include "runtime/src/replica_set.h"
#include "runtime/src/session_state.h"
#include "runtime/src/slot_scheduler.h"
#include "runtime/src/value_crossing.h"
#include "runtime/src/watched_call.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

// One asynchronous call that ends by itself, from its making to its callback.
struct AsyncCall {
  ReplicaCall call;
  ReplicatedObj::Callback done;

  void RunIn(size_t slot) const { Deliver(done, CallIn(slot, call)); }
};

bool MayEndEarly(const CallOptions& options) {
  return options.deadline.has_value() || options.cancellation.has_value();
}

}  // namespace

ReplicatedObj::ReplicatedObj(std::shared_ptr<ReplicaSet> replicas)
    : replicas_(std::move(replicas)) {}

// By value, as the waist takes the tensors in them.
Result<Value> ReplicatedObj::Call(std::vector<Value> args, Kwargs kwargs,
                                  const CallOptions& options) const {
  if (MayEndEarly(options)) {
    const auto result = std::make_shared<std::promise<Result<Value>>>();
    WatchedCall::Begin({replicas_, std::move(args), std::move(kwargs), AliasedTensors::kCopy},
                       options,
                       [result](Result<Value> answer) { result->set_value(std::move(answer)); });
    return result->get_future().get();
  }
  const Result<HeldSlot> held = HeldSlot::Acquire(replicas_->pool()->scheduler(), {});
  if (!held.ok()) {
    return held.status();
  }
  return CallIn(held->slot(),
                {replicas_, std::move(args), std::move(kwargs), AliasedTensors::kCopy});
}

void ReplicatedObj::CallAsync(std::vector<Value> args, Kwargs kwargs, Callback done,
                              const CallOptions& options) const {
  if (MayEndEarly(options)) {
    WatchedCall::Begin({replicas_, std::move(args), std::move(kwargs), AliasedTensors::kShare},
                       options, std::move(done));
    return;
  }
  auto call = std::make_shared<AsyncCall>(AsyncCall{
      {replicas_, std::move(args), std::move(kwargs), AliasedTensors::kShare}, std::move(done)});
  SlotScheduler::Job job = [call](size_t slot) { call->RunIn(slot); };
  const Status status = replicas_->pool()->scheduler()->Submit(job, {});
  if (!status.ok()) {
    Deliver(call->done, status);
  }
}

Status ReplicatedObj::CallWhenFree(NextCall next, std::optional<size_t> slot) const {
  SlotScheduler::Job job = [replicas = replicas_, next = std::move(next)](size_t free) {
    std::optional<DueCall> due = next(free);
    if (!due.has_value()) {
      return;
    }
    ReplicaCall call{replicas, std::move(due->args), std::move(due->kwargs), AliasedTensors::kShare,
                     std::move(due->method)};
    if (MayEndEarly(due->options)) {
      WatchedCall::BeginIn(free, std::move(call), due->options, std::move(due->done));
    } else {
      AsyncCall{std::move(call), std::move(due->done)}.RunIn(free);
    }
  };
  return replicas_->pool()->scheduler()->Submit(job, slot, replicas_.get());
}

size_t ReplicatedObj::num_interpreters() const {
  return replicas_->pool()->size();
}

Result<InterpreterSession> ReplicatedObj::AcquireSession(std::optional<size_t> slot) const {
  Result<std::shared_ptr<SessionState>> session = SessionState::Begin(replicas_->pool(), slot);
  if (!session.ok()) {
    return session.status();
  }
  Result<std::shared_ptr<const EngineObject>> replica = replicas_->ReplicaIn((*session)->slot());
  if (!replica.ok()) {
    return replica.status();
  }
  (*session)->opened_for = *std::move(replica);
  (*session)->package = replicas_->package();
  return InterpreterSession(*std::move(session));
}

Status ReplicatedObj::LoadEverywhere() const {
  return InEverySlot(*replicas_->pool()->scheduler(), [replicas = replicas_](size_t slot) {
    return replicas->ReplicaIn(slot).status();
  });
}

Status ReplicatedObj::Unload(std::optional<size_t> slot) const {
  if (!slot.has_value()) {
    return InEverySlot(*replicas_->pool()->scheduler(), [replicas = replicas_](size_t held) {
      replicas->DropReplicaIn(held);
      return Status();
    });
  }
  const Result<HeldSlot> held = HeldSlot::Acquire(replicas_->pool()->scheduler(), slot);
  if (held.ok()) {
    replicas_->DropReplicaIn(*slot);
  }
  return held.status();
}

Result<bool> ReplicatedObj::HasAttribute(const std::string& name) const {
  const Result<InterpreterSession> session = AcquireSession();
  if (!session.ok()) {
    return session.status();
  }
  return session->self().HasAttribute(name);
}

}  // namespace torchdeploy
