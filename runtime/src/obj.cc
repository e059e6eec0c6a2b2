// The handle of a Python object.
#include "torchdeploy/obj.h"

#include <memory>
#include <string>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/session_state.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

using Record = std::shared_ptr<const ObjRecord>;

Status CheckUsable(const Record& record) {
  if (record == nullptr) {
    return {Code::kFailedPrecondition, "This Obj is empty: it refers to no Python object."};
  }
  return record->session()->CheckUsable();
}

// What an operation on `record` brought, in the same session.
Result<Record> InSameSession(const Record& record, const Result<td_object>& object) {
  if (!object.ok()) {
    return object.status();
  }
  return Record(std::make_shared<ObjRecord>(
      record->session(), std::make_shared<EngineObject>(record->engine(), *object)));
}

}  // namespace

// By value, as the waist takes the tensors in them.
Result<Obj> Obj::Call(std::vector<Value> args,  // NOLINT(performance-unnecessary-value-param)
                      Kwargs kwargs) const {    // NOLINT(performance-unnecessary-value-param)
  Status status = CheckUsable(record_);
  if (!status.ok()) {
    return status;
  }
  const Result<Record> result =
      InSameSession(record_, record_->engine().CallForObject(record_->id(), args, kwargs));
  if (!result.ok()) {
    return result.status();
  }
  return Obj(*result);
}

Result<Obj> Obj::CallObjects(const std::vector<Obj>& args) const {
  Status status = CheckUsable(record_);
  if (!status.ok()) {
    return status;
  }
  std::vector<td_object> ids;
  for (const Obj& arg : args) {
    status = CheckUsable(arg.record_);
    if (!status.ok()) {
      return status;
    }
    if (&arg.record_->engine() != &record_->engine()) {
      return Status(Code::kFailedPrecondition, "Argument " + std::to_string(ids.size()) +
                                                   " is an object of another interpreter.");
    }
    ids.push_back(arg.record_->id());
  }
  const Result<Record> result =
      InSameSession(record_, record_->engine().CallObjects(record_->id(), ids));
  if (!result.ok()) {
    return result.status();
  }
  return Obj(*result);
}

Result<Obj> Obj::Attribute(const std::string& name) const {
  Status status = CheckUsable(record_);
  if (!status.ok()) {
    return status;
  }
  const Result<Record> result =
      InSameSession(record_, record_->engine().Attribute(record_->id(), name));
  if (!result.ok()) {
    return result.status();
  }
  return Obj(*result);
}

Result<bool> Obj::HasAttribute(const std::string& name) const {
  Status status = CheckUsable(record_);
  if (!status.ok()) {
    return status;
  }
  return record_->engine().HasAttribute(record_->id(), name);
}

Result<Value> Obj::ToValue() const {
  Status status = CheckUsable(record_);
  if (!status.ok()) {
    return status;
  }
  return record_->engine().ToValue(record_->id());
}

}  // namespace torchdeploy
