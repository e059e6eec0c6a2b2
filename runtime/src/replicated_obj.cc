// Calls of an object that every interpreter has.
#include "torchdeploy/replicated_obj.h"

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/engine_object.h"
#include "runtime/src/invariant.h"
#include "runtime/src/load_everywhere.h"
#include "runtime/src/replica_set.h"
#include "runtime/src/session_state.h"
#include "runtime/src/slot_scheduler.h"
#include "runtime/src/value_crossing.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

Result<Value> CallIn(ReplicaSet& replicas, size_t slot, const std::vector<Value>& args,
                     const Kwargs& kwargs, AliasedTensors aliased) {
  const Result<std::shared_ptr<const EngineObject>> replica = replicas.ReplicaIn(slot);
  if (!replica.ok()) {
    return replica.status();
  }
  return (*replica)->engine().Call((*replica)->id(), args, kwargs, aliased);
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

// One asynchronous call, from its making to its callback.
struct AsyncCall {
  std::shared_ptr<ReplicaSet> replicas;
  std::vector<Value> args;
  Kwargs kwargs;
  ReplicatedObj::Callback done;

  void RunIn(size_t slot) {
    Result<Value> result = CallIn(*replicas, slot, args, kwargs, AliasedTensors::kShare);
    Deliver(done, std::move(result));
  }
};

}  // namespace

ReplicatedObj::ReplicatedObj(std::shared_ptr<ReplicaSet> replicas)
    : replicas_(std::move(replicas)) {}

// By value, as the waist takes the tensors in them.
Result<Value> ReplicatedObj::Call(
    std::vector<Value> args,  // NOLINT(performance-unnecessary-value-param)
    Kwargs kwargs) const {    // NOLINT(performance-unnecessary-value-param)
  const Result<HeldSlot> held = HeldSlot::Acquire(replicas_->pool().scheduler(), {});
  if (!held.ok()) {
    return held.status();
  }
  return CallIn(*replicas_, held->slot(), args, kwargs, AliasedTensors::kCopy);
}

void ReplicatedObj::CallAsync(std::vector<Value> args, Kwargs kwargs, Callback done) const {
  auto call = std::make_shared<AsyncCall>(
      AsyncCall{replicas_, std::move(args), std::move(kwargs), std::move(done)});
  SlotScheduler::Job job = [call](size_t slot) { call->RunIn(slot); };
  const Status status = replicas_->pool().scheduler()->Submit(job, {});
  if (!status.ok()) {
    Deliver(call->done, status);
  }
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
  return InterpreterSession(*std::move(session));
}

Status ReplicatedObj::LoadEverywhere() const {
  return torchdeploy::LoadEverywhere(replicas_);
}

}  // namespace torchdeploy
