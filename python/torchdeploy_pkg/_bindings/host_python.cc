#include "python/torchdeploy_pkg/_bindings/host_python.h"

#include <string>

#include <pybind11/pybind11.h>

#include "torchdeploy/status.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

// A message may quote a path or a C library, which need not be UTF-8.
py::object Text(const std::string& text) {
  PyObject* const decoded =
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (decoded == nullptr) {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(decoded);
}

}  // namespace

HostPython::HostPython(const py::object& host)
    : as_plain(host.attr("as_plain")),
      adopt(host.attr("adopt")),
      make_error(host.attr("make_error")) {}

void HostPython::Raise(const Status& status) const {
  const py::object error = ErrorOf(status);
  PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
  throw py::error_already_set();
}

py::object HostPython::ErrorOf(const Status& status) const {
  return make_error(static_cast<int>(status.code()), Text(status.message()), Text(status.type()),
                    Text(status.traceback()));
}

}  // namespace torchdeploy
