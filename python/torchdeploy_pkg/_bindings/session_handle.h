// Sessions and the objects in them, as the host's Python holds them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/replicated_obj.h"

#include "python/torchdeploy_pkg/_bindings/host_python.h"

namespace torchdeploy {

// Used with the host's GIL held, which is given up while the interpreter works.
class ObjHandle {
 public:
  ObjHandle(HostPython host, Obj object) : host_(std::move(host)), object_(std::move(object)) {}

  [[nodiscard]] ObjHandle Call(const pybind11::tuple& args, const pybind11::dict& kwargs) const;
  [[nodiscard]] ObjHandle CallObjects(const std::vector<ObjHandle>& args) const;
  [[nodiscard]] ObjHandle Attribute(const std::string& name) const;
  [[nodiscard]] pybind11::object ToValue() const;

  [[nodiscard]] const Obj& object() const { return object_; }

 private:
  HostPython host_;
  Obj object_;
};

// The same.
class SessionHandle {
 public:
  SessionHandle(HostPython host, InterpreterSession session)
      : host_(std::move(host)), session_(std::move(session)) {}

  // What follows raises FailedPreconditionError after End().
  [[nodiscard]] size_t Slot() const;
  [[nodiscard]] ObjHandle Self() const;
  [[nodiscard]] ObjHandle Global(const std::string& module, const std::string& name) const;
  [[nodiscard]] ObjHandle FromValue(const pybind11::object& value) const;
  [[nodiscard]] ObjHandle FromMovable(const ReplicatedObj& object) const;
  [[nodiscard]] ReplicatedObj CreateMovable(const ObjHandle& object) const;

  // Lets the interpreter go. On any thread, when no operation of the session runs.
  void End();

 private:
  [[nodiscard]] const InterpreterSession& Open() const;

  HostPython host_;
  std::optional<InterpreterSession> session_;
};

}  // namespace torchdeploy
