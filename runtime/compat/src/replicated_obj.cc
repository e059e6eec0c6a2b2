// Objects that every interpreter has, and their methods.
#include "torchdeploy/replicated_obj.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <torch/deploy.h>

#include "runtime/compat/src/ivalue_crossing.h"
#include "runtime/compat/src/manager_record.h"
#include "runtime/compat/src/session_record.h"
#include "runtime/compat/src/status_error.h"

namespace torch::deploy {

ReplicatedObj::ReplicatedObj(std::shared_ptr<ManagerRecord> manager,
                             torchdeploy::ReplicatedObj native)
    : manager_(std::move(manager)), native_(std::move(native)) {}

const torchdeploy::ReplicatedObj& ReplicatedObj::native() const {
  if (!native_.has_value()) {
    throw std::runtime_error("This ReplicatedObj is empty: it refers to no object.");
  }
  return *native_;
}

std::optional<size_t> ReplicatedObj::SlotOf(const Interpreter* interpreter) const {
  if (interpreter == nullptr) {
    return std::nullopt;
  }
  if (interpreter->manager_ != manager_) {
    throw std::runtime_error("This interpreter belongs to another manager than the object.");
  }
  return interpreter->slot_;
}

InterpreterSession ReplicatedObj::acquireSession(const Interpreter* interpreter) const {
  const torchdeploy::ReplicatedObj& object = native();
  if (const std::optional<size_t> slot = SlotOf(interpreter)) {
    return SessionRecord::Open(manager_, ValueOf(object.AcquireSession(slot)));
  }
  return SessionRecord::AcquireAny(manager_, object);
}

at::IValue ReplicatedObj::operator()(at::ArrayRef<at::IValue> args) const {
  return callKwargs(args.vec(), {});
}

at::IValue ReplicatedObj::callKwargs(const std::vector<at::IValue>& args,
                                     const Kwargs& kwargs) const {
  const torchdeploy::ReplicatedObj& object = native();
  if (SessionRecord::HeldSlot(*manager_).has_value()) {
    // It may have to share an interpreter that this thread holds.
    return acquireSession().self.callKwargs(args, kwargs).toIValue();
  }
  return ToIValue(ValueOf(object.Call(ToValues(args), ToKwargs(kwargs))));
}

at::IValue ReplicatedObj::callKwargs(const Kwargs& kwargs) const {
  return callKwargs({}, kwargs);
}

bool ReplicatedObj::hasattr(const char* name) const {
  return acquireSession().self.hasattr(name);
}

void ReplicatedObj::unload(const Interpreter* interpreter) {
  Check(native().Unload(SlotOf(interpreter)));
}

Obj ReplicatedObj::toObj(InterpreterSession* session) const {
  return session->fromMovable(*this);
}

c10::IValue PythonMethodWrapper::operator()(std::vector<c10::IValue> args,
                                            const IValueMap& kwargs) const {
  const InterpreterSession session = model_.acquireSession();
  return session.self.attr(name_.c_str()).callKwargs(args, kwargs).toIValue();
}

void PythonMethodWrapper::setArgumentNames(std::vector<std::string>& names) const {
  const InterpreterSession session = model_.acquireSession();
  const Obj method = session.self.attr(name_.c_str());
  const Obj parameters = session.global("inspect", "signature")(method).attr("parameters");
  const at::IValue listed = session.global("builtins", "list")(parameters).toIValue();
  for (const at::IValue& name : listed.toListRef()) {
    names.push_back(name.toStringRef());
  }
}

}  // namespace torch::deploy
