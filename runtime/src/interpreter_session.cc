// The handle of a session.
#include "torchdeploy/interpreter_session.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/replica_set.h"
#include "runtime/src/session_state.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

std::shared_ptr<const ObjRecord> RecordOf(const std::shared_ptr<SessionState>& session,
                                          td_object id) {
  return std::make_shared<ObjRecord>(session,
                                     std::make_shared<EngineObject>(session->engine(), id));
}

Status CheckUsable(const std::shared_ptr<SessionState>& session) {
  if (session == nullptr) {
    return {Code::kFailedPrecondition, "This session was moved to another handle."};
  }
  return session->CheckUsable();
}

}  // namespace

InterpreterSession::InterpreterSession(std::shared_ptr<SessionState> state)
    : state_(std::move(state)) {
  if (state_->opened_for != nullptr) {
    state_->self = Obj(std::make_shared<ObjRecord>(state_, state_->opened_for));
  }
}

InterpreterSession::InterpreterSession(InterpreterSession&&) noexcept = default;

InterpreterSession& InterpreterSession::operator=(InterpreterSession&& other) noexcept {
  if (this != &other) {
    const InterpreterSession ended = std::move(*this);
    state_ = std::move(other.state_);
  }
  return *this;
}

InterpreterSession::~InterpreterSession() {
  if (state_ != nullptr) {
    state_->End();
  }
}

size_t InterpreterSession::slot() const {
  return state_->slot();
}

const Obj& InterpreterSession::self() const {
  return state_->self;
}

Result<Obj> InterpreterSession::Global(const std::string& module, const std::string& name) const {
  Status status = CheckUsable(state_);
  if (!status.ok()) {
    return status;
  }
  const Result<td_object> object = state_->engine().Global(module, name);
  if (!object.ok()) {
    return object.status();
  }
  return Obj(RecordOf(state_, *object));
}

// By value, as the waist takes the tensors in it.
Result<Obj> InterpreterSession::FromValue(
    Value value) const {  // NOLINT(performance-unnecessary-value-param)
  Status status = CheckUsable(state_);
  if (!status.ok()) {
    return status;
  }
  const Result<td_object> object = state_->engine().FromValue(value);
  if (!object.ok()) {
    return object.status();
  }
  return Obj(RecordOf(state_, *object));
}

Result<Obj> InterpreterSession::FromMovable(const ReplicatedObj& object) const {
  Status status = CheckUsable(state_);
  if (!status.ok()) {
    return status;
  }
  if (object.replicas_->pool() != state_->pool()) {
    return Status(Code::kFailedPrecondition,
                  "This object belongs to another interpreter manager than the session.");
  }
  Result<std::shared_ptr<const EngineObject>> replica = object.replicas_->ReplicaIn(slot());
  if (!replica.ok()) {
    return replica.status();
  }
  return Obj(std::make_shared<ObjRecord>(state_, *std::move(replica)));
}

Result<ReplicatedObj> InterpreterSession::CreateMovable(const Obj& obj) const {
  Status status = CheckUsable(state_);
  if (!status.ok()) {
    return status;
  }
  if (!Owns(obj)) {
    return Status(Code::kFailedPrecondition,
                  "Cannot create movable from an object that lives in different session.");
  }
  td_object importer = 0;
  if (state_->package != nullptr) {
    const Result<std::shared_ptr<const EngineObject>> made = state_->package->ImporterIn(slot());
    if (!made.ok()) {
      return made.status();
    }
    importer = (*made)->id();
  }
  Result<Value> pickled = state_->engine().Pickle(obj.record_->id(), importer);
  if (!pickled.ok()) {
    return pickled.status();
  }
  return ReplicatedObj(
      std::make_shared<MovableReplicas>(state_->pool(), state_->package, *std::move(pickled)));
}

bool InterpreterSession::Owns(const Obj& obj) const {
  return state_ != nullptr && obj.record_ != nullptr && obj.record_->session() == state_;
}

}  // namespace torchdeploy
