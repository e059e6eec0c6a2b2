// The module torchdeploy_pkg._native. Source: _native.pyi is its contract.
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "torchdeploy/call_options.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/async_call.h"
#include "python/torchdeploy_pkg/_bindings/dlpack_capsule.h"
#include "python/torchdeploy_pkg/_bindings/host_entries.h"
#include "python/torchdeploy_pkg/_bindings/host_python.h"
#include "python/torchdeploy_pkg/_bindings/manager_handle.h"
#include "python/torchdeploy_pkg/_bindings/owner_releases.h"
#include "python/torchdeploy_pkg/_bindings/session_handle.h"
#include "python/torchdeploy_pkg/_bindings/value_crossing.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

// A session that `acquire` waits for without the host's GIL.
template <typename Acquire>
std::unique_ptr<SessionHandle> AcquireSession(const HostPython& host, Acquire acquire) {
  auto session = [&] {
    const WithoutHostGil without_gil;
    return acquire();
  }();
  return std::make_unique<SessionHandle>(host, ValueOrRaise(host, std::move(session)));
}

// Raises the exception of what `work` gives without the host's GIL, if it failed.
template <typename Work>
void RaiseUnlessOk(const HostPython& host, Work work) {
  const Status status = [&] {
    const WithoutHostGil without_gil;
    return work();
  }();
  if (!status.ok()) {
    host.Raise(status);
  }
}

CallOptions Within(std::optional<double> timeout_s) {
  CallOptions options;
  if (timeout_s.has_value()) {
    const std::chrono::duration<double> timeout(*timeout_s);
    options.deadline = std::chrono::steady_clock::now() +
                       std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout);
  }
  return options;
}

class NativeObj {
 public:
  NativeObj(HostPython host, ReplicatedObj object)
      : host_(std::move(host)), object_(std::move(object)) {}

  [[nodiscard]] const ReplicatedObj& object() const { return object_; }

  [[nodiscard]] py::object Call(const py::tuple& args, const py::dict& kwargs,
                                std::optional<double> timeout_s) const {
    const OwnerReleases::DrainAtEnd drain;
    auto values = ValueOrRaise(host_, ArgsFromPython(host_, args));
    auto named = ValueOrRaise(host_, KwargsFromPython(host_, kwargs));
    return ToPython(host_, ValueOrRaise(host_, CallWithoutGil(std::move(values), std::move(named),
                                                              Within(timeout_s))));
  }

  [[nodiscard]] Cancellation CallInto(const py::object& future, const py::tuple& args,
                                      const py::dict& kwargs,
                                      std::optional<double> timeout_s) const {
    OwnerReleases::OfProcess().Drain();
    auto values = ValueOrRaise(host_, ArgsFromPython(host_, args));
    auto named = ValueOrRaise(host_, KwargsFromPython(host_, kwargs));
    return CallIntoFuture(object_, std::move(values), std::move(named), Within(timeout_s), host_,
                          future);
  }

  [[nodiscard]] std::unique_ptr<SessionHandle> Acquire() const {
    return AcquireSession(host_, [&] { return object_.AcquireSession(); });
  }

  void Unload(std::optional<size_t> slot) const {
    RaiseUnlessOk(host_, [&] { return object_.Unload(slot); });
  }

 private:
  [[nodiscard]] Result<Value> CallWithoutGil(std::vector<Value> args, Kwargs kwargs,
                                             const CallOptions& options) const {
    const WithoutHostGil without_gil;
    return object_.Call(std::move(args), std::move(kwargs), options);
  }

  HostPython host_;
  ReplicatedObj object_;
};

class NativePackage {
 public:
  NativePackage(HostPython host, Package package)
      : host_(std::move(host)), package_(std::move(package)) {}

  [[nodiscard]] NativeObj LoadPickle(const std::string& package,
                                     const std::string& resource) const {
    return {host_, package_.LoadPickle(package, resource)};
  }
  [[nodiscard]] NativeObj LoadEntry() const { return {host_, package_.LoadEntry()}; }
  [[nodiscard]] std::optional<std::string> ManifestJson() const {
    return package_.manifest().has_value() ? std::optional(package_.manifest()->json)
                                           : std::nullopt;
  }
  [[nodiscard]] std::unique_ptr<SessionHandle> Acquire() const {
    return AcquireSession(host_, [&] { return package_.AcquireSession(); });
  }

 private:
  HostPython host_;
  Package package_;
};

// Source: InterpreterManager's __init__ in _native.pyi.
Options OptionsOf(const py::kwargs& options) {
  return {.interpreters = options["interpreters"].cast<int>(),
          .intra_op_threads = options["intra_op_threads"].cast<int>(),
          .pin_cores = options["pin_cores"].cast<bool>(),
          .python = options["python"].cast<std::filesystem::path>().string(),
          .cache_folder = options["cache"].cast<std::filesystem::path>().string(),
          .on_demand = options["on_demand"].cast<bool>()};
}

class NativeManager {
 public:
  NativeManager(const py::object& host, const py::kwargs& options)
      : host_(host), manager_(ValueOrRaise(host_, CreateWithoutGil(OptionsOf(options)))) {}

  [[nodiscard]] size_t size() const { return manager_.manager().size(); }

  [[nodiscard]] NativePackage LoadPackage(const std::filesystem::path& path) const {
    return {host_, ValueOrRaise(host_, WithoutGil([&] {
                                  return manager_.manager().LoadPackage(path.string());
                                }))};
  }
  [[nodiscard]] NativePackage LoadBytes(const py::buffer& archive, const std::string& name) const {
    const py::buffer_info info = archive.request();
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(info.ptr),
                                           static_cast<size_t>(info.size * info.itemsize));
    return {host_, ValueOrRaise(host_, WithoutGil([&] {
                                  return manager_.manager().LoadPackage(bytes, name);
                                }))};
  }

  [[nodiscard]] NativeObj CreateMovable(const SessionHandle& session,
                                        const ObjHandle& object) const {
    return {host_, session.CreateMovable(object)};
  }

  [[nodiscard]] std::unique_ptr<SessionHandle> Acquire(std::optional<size_t> slot) const {
    return AcquireSession(host_, [&] { return manager_.manager().AcquireSession(slot); });
  }

  void RegisterModuleSource(const std::string& name, const std::string& source) const {
    RaiseUnlessOk(host_, [&] { return manager_.manager().RegisterModuleSource(name, source); });
  }

  void Resize(size_t interpreters) const {
    RaiseUnlessOk(host_, [&] { return manager_.manager().Resize(interpreters); });
  }

  [[nodiscard]] size_t InterpretersReplaced() const {
    return manager_.manager().interpreters_replaced();
  }

  void Close() {
    if (const Status status = manager_.Close(); !status.ok()) {
      host_.Raise(status);
    }
  }

 private:
  static Result<std::unique_ptr<InterpreterManager>> CreateWithoutGil(Options options) {
    const WithoutHostGil without_gil;
    return InterpreterManager::Create(std::move(options));
  }
  template <typename Load>
  static Result<Package> WithoutGil(Load load) {
    const WithoutHostGil without_gil;
    return load();
  }

  const HostPython host_;
  ManagerHandle manager_;
};

// For the calls of other threads, and for callbacks of futures. Documented in docs/python.md.
constexpr std::chrono::seconds kEndWait{10};

using DLPackVersionPair = std::pair<int, int>;
using DLDevicePair = std::pair<int, int>;

DLDevicePair DeviceOf(const Tensor& tensor) {
  return {static_cast<int>(tensor.device().device_type), tensor.device().device_id};
}

py::object ExportTensor(const Tensor& tensor, const py::object& /*stream*/,
                        const std::optional<DLPackVersionPair>& max_version,
                        const std::optional<DLDevicePair>& device, std::optional<bool> copy) {
  if (device.has_value() && *device != DeviceOf(tensor)) {
    throw py::buffer_error("the tensor is on another device than the one asked for");
  }
  const bool versioned = max_version.has_value() && max_version->first >= DLPACK_MAJOR_VERSION;
  if (!copy.value_or(false)) {
    return MakeCapsule(tensor, versioned);
  }
  const Result<Tensor> clone = tensor.Clone();
  if (!clone.ok()) {
    throw py::buffer_error(clone.status().message());
  }
  return MakeCapsule(*clone, versioned);
}

template <typename Named>
void DefineNamed(py::module_& module, const char* name) {
  py::class_<Named>(module, name)
      .def(py::init([](std::string value) { return Named{std::move(value)}; }), py::arg("name"),
           py::pos_only())
      .def_readonly("name", &Named::name)
      .def("__eq__",
           [](const Named& self, const py::object& other) {
             return py::isinstance<Named>(other) && other.cast<const Named&>().name == self.name;
           })
      .def("__hash__", [](const Named& self) { return py::hash(py::str(self.name)); })
      .def("__repr__", [name](const Named& self) {
        return std::string(name) + "(" + py::repr(py::str(self.name)).cast<std::string>() + ")";
      });
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  const py::call_guard<HostEntry> inside;

  DefineNamed<Device>(module, "Device");
  DefineNamed<Dtype>(module, "Dtype");
  DefineNamed<Layout>(module, "Layout");

  py::class_<Tensor>(module, "Tensor")
      .def("__dlpack__", &ExportTensor, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none())
      .def("__dlpack_device__", &DeviceOf);

  py::class_<Cancellation>(module, "Cancellation")
      .def(
          "cancel",
          [](const Cancellation& cancellation) {
            const WithoutHostGil without_gil;
            cancellation.Cancel();
          },
          inside);

  py::class_<NativeObj>(module, "ReplicatedObj")
      .def("call", &NativeObj::Call, inside, py::arg("args"), py::arg("kwargs"),
           py::arg("timeout_s"), py::pos_only())
      .def("call_into", &NativeObj::CallInto, inside, py::arg("future"), py::arg("args"),
           py::arg("kwargs"), py::arg("timeout_s"), py::pos_only())
      .def("unload", &NativeObj::Unload, inside, py::arg("slot"), py::pos_only())
      .def("acquire_session", &NativeObj::Acquire, inside);

  py::class_<ObjHandle>(module, "Obj")
      .def("call", &ObjHandle::Call, inside, py::arg("args"), py::arg("kwargs"), py::pos_only())
      .def("call_objects", &ObjHandle::CallObjects, inside, py::arg("args"), py::pos_only())
      .def("attribute", &ObjHandle::Attribute, inside, py::arg("name"), py::pos_only())
      .def("to_value", &ObjHandle::ToValue, inside);

  py::class_<SessionHandle>(module, "InterpreterSession")
      .def_property_readonly("slot", &SessionHandle::Slot)
      .def("self", &SessionHandle::Self)
      .def("global_", &SessionHandle::Global, inside, py::arg("module"), py::arg("name"),
           py::pos_only())
      .def("from_value", &SessionHandle::FromValue, inside, py::arg("value"), py::pos_only())
      .def(
          "from_movable",
          [](const SessionHandle& session, const NativeObj& movable) {
            return session.FromMovable(movable.object());
          },
          inside, py::arg("movable"), py::pos_only())
      .def("end", &SessionHandle::End);

  py::class_<NativePackage>(module, "Package")
      .def("load_pickle", &NativePackage::LoadPickle, py::arg("package"), py::arg("resource"),
           py::pos_only())
      .def("load_entry", &NativePackage::LoadEntry)
      .def_property_readonly("manifest_json", &NativePackage::ManifestJson)
      .def("acquire_session", &NativePackage::Acquire, inside);

  py::class_<NativeManager>(module, "InterpreterManager")
      .def(py::init<const py::object&, const py::kwargs&>(), inside, py::arg("host"))
      .def("__len__", &NativeManager::size)
      .def("load_package", &NativeManager::LoadPackage, inside, py::arg("path"), py::pos_only())
      .def("load_bytes", &NativeManager::LoadBytes, inside, py::arg("archive"), py::arg("name"),
           py::pos_only())
      .def("acquire_session", &NativeManager::Acquire, inside, py::arg("slot"), py::pos_only())
      .def("create_movable", &NativeManager::CreateMovable, inside, py::arg("session"),
           py::arg("obj"), py::pos_only())
      .def("register_module_source", &NativeManager::RegisterModuleSource, inside, py::arg("name"),
           py::arg("source"), py::pos_only())
      .def("resize", &NativeManager::Resize, inside, py::arg("interpreters"), py::pos_only())
      .def("interpreters_replaced", &NativeManager::InterpretersReplaced)
      .def("close", &NativeManager::Close, inside);

  module.def("forget_threads", [] { HostEntries::OfProcess().ForgetThreads(); });
  module.def("end_calls", [] {
    OwnerReleases::OfProcess().Close();
    const py::gil_scoped_release without_gil;
    HostEntries::OfProcess().End(std::chrono::steady_clock::now() + kEndWait);
  });
  module.def("end_interpreters", [] {
    const py::gil_scoped_release without_gil;
    EndInterpreters();
    HostEntries::OfProcess().EndSettling(std::chrono::steady_clock::now() + kEndWait);
  });
}

}  // namespace torchdeploy
