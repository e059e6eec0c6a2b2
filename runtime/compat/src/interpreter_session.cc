// Sessions and the objects in them.
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <torch/deploy.h>

#include "runtime/compat/src/ivalue_crossing.h"
#include "runtime/compat/src/session_record.h"
#include "runtime/compat/src/status_error.h"
#include "torchdeploy/obj.h"

namespace torch::deploy {

at::IValue Obj::toIValue() const {
  return ToIValue(ValueOf(native_.ToValue()));
}

Obj Obj::operator()(at::ArrayRef<Obj> args) const {
  std::vector<torchdeploy::Obj> objects;
  objects.reserve(args.size());
  for (const Obj& arg : args) {
    objects.push_back(arg.native_);
  }
  return Obj(ValueOf(native_.CallObjects(objects)));
}

Obj Obj::operator()(at::ArrayRef<at::IValue> args) const {
  return Obj(ValueOf(native_.Call(ToValues(args))));
}

Obj Obj::callKwargs(const std::vector<at::IValue>& args, const Kwargs& kwargs) const {
  return Obj(ValueOf(native_.Call(ToValues(args), ToKwargs(kwargs))));
}

Obj Obj::callKwargs(const Kwargs& kwargs) const {
  return callKwargs({}, kwargs);
}

bool Obj::hasattr(const char* name) const {
  return ValueOf(native_.HasAttribute(name));
}

Obj Obj::attr(const char* name) const {
  return Obj(ValueOf(native_.Attribute(name)));
}

InterpreterSession::InterpreterSession(std::unique_ptr<SessionRecord> record)
    : record_(std::move(record)) {}

InterpreterSession::InterpreterSession(InterpreterSession&&) noexcept = default;
InterpreterSession& InterpreterSession::operator=(InterpreterSession&&) noexcept = default;
InterpreterSession::~InterpreterSession() = default;

const SessionRecord& InterpreterSession::record() const {
  if (record_ == nullptr) {
    throw std::runtime_error("This session was moved to another handle.");
  }
  return *record_;
}

Obj InterpreterSession::global(const char* module, const char* name) const {
  return Obj(ValueOf(record().native.Global(module, name)));
}

Obj InterpreterSession::fromIValue(const at::IValue& value) const {
  return Obj(ValueOf(record().native.FromValue(ToValue(value))));
}

Obj InterpreterSession::fromMovable(const ReplicatedObj& object) const {
  return Obj(ValueOf(record().native.FromMovable(object.native())));
}

bool InterpreterSession::isOwner(const Obj& obj) const {
  return record().native.Owns(obj.native_);
}

ReplicatedObj InterpreterSession::createMovable(const Obj& obj) const {
  return {record().manager, ValueOf(record().native.CreateMovable(obj.native_))};
}

}  // namespace torch::deploy
