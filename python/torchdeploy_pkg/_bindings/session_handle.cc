#include "python/torchdeploy_pkg/_bindings/session_handle.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/host_entries.h"
#include "python/torchdeploy_pkg/_bindings/host_python.h"
#include "python/torchdeploy_pkg/_bindings/owner_releases.h"
#include "python/torchdeploy_pkg/_bindings/value_crossing.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

// What `work` gives without the host's GIL, or the exception of its status.
template <typename Work>
auto InInterpreter(const HostPython& host, Work work) {
  auto result = [&] {
    const WithoutHostGil without_gil;
    return work();
  }();
  OwnerReleases::OfProcess().Drain();
  return ValueOrRaise(host, std::move(result));
}

}  // namespace

ObjHandle ObjHandle::Call(const py::tuple& args, const py::dict& kwargs) const {
  auto values = ValueOrRaise(host_, ArgsFromPython(host_, args));
  auto named = ValueOrRaise(host_, KwargsFromPython(host_, kwargs));
  return {host_,
          InInterpreter(host_, [&] { return object_.Call(std::move(values), std::move(named)); })};
}

ObjHandle ObjHandle::CallObjects(const std::vector<ObjHandle>& args) const {
  std::vector<Obj> objects;
  objects.reserve(args.size());
  for (const ObjHandle& arg : args) {
    objects.push_back(arg.object_);
  }
  return {host_, InInterpreter(host_, [&] { return object_.CallObjects(objects); })};
}

ObjHandle ObjHandle::Attribute(const std::string& name) const {
  return {host_, InInterpreter(host_, [&] { return object_.Attribute(name); })};
}

py::object ObjHandle::ToValue() const {
  return ToPython(host_, InInterpreter(host_, [&] { return object_.ToValue(); }));
}

const InterpreterSession& SessionHandle::Open() const {
  if (!session_.has_value()) {
    host_.Raise({Code::kFailedPrecondition, "This session has ended."});
  }
  return *session_;
}

size_t SessionHandle::Slot() const {
  return Open().slot();
}

ObjHandle SessionHandle::Self() const {
  return {host_, Open().self()};
}

ObjHandle SessionHandle::Global(const std::string& module, const std::string& name) const {
  const InterpreterSession& session = Open();
  return {host_, InInterpreter(host_, [&] { return session.Global(module, name); })};
}

ObjHandle SessionHandle::FromValue(const py::object& value) const {
  const InterpreterSession& session = Open();
  auto values = ValueOrRaise(host_, ArgsFromPython(host_, py::make_tuple(value)));
  return {host_, InInterpreter(host_, [&] { return session.FromValue(std::move(values[0])); })};
}

ObjHandle SessionHandle::FromMovable(const ReplicatedObj& object) const {
  const InterpreterSession& session = Open();
  return {host_, InInterpreter(host_, [&] { return session.FromMovable(object); })};
}

ReplicatedObj SessionHandle::CreateMovable(const ObjHandle& object) const {
  const InterpreterSession& session = Open();
  return InInterpreter(host_, [&] { return session.CreateMovable(object.object()); });
}

void SessionHandle::End() {
  session_.reset();
}

}  // namespace torchdeploy
