// A Python object inside one interpreter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

class ObjRecord;  // Internal: the object's id and what keeps its interpreter reachable.

// Copies refer to the same Python object, which lives until the last is dropped.
//
// An Obj is used within the session that gave it. Outside it every operation fails
// with kFailedPrecondition; dropping it is always safe, on any thread, and never waits.
class Obj {
 public:
  Obj() = default;

  // object(*args, **kwargs). Fails with kUnknown for the object's own exception
  // (SystemExit included), with its type and traceback.
  Result<Obj> Call(std::vector<Value> args, Kwargs kwargs = {}) const;
  // The same, when all arguments are objects of this session's interpreter.
  Result<Obj> CallObjects(const std::vector<Obj>& args) const;

  // getattr(object, name). kUnknown with type "AttributeError" when there is none.
  [[nodiscard]] Result<Obj> Attribute(const std::string& name) const;
  [[nodiscard]] Result<bool> HasAttribute(const std::string& name) const;

  // The object as plain data. Tensors share the object's memory: another call may write
  // to it once the session has ended. kInvalidArgument, naming the place and the type,
  // when it holds what cannot cross.
  [[nodiscard]] Result<Value> ToValue() const;

 private:
  friend class InterpreterSession;
  explicit Obj(std::shared_ptr<const ObjRecord> record) : record_(std::move(record)) {}

  std::shared_ptr<const ObjRecord> record_;
};

}  // namespace torchdeploy
