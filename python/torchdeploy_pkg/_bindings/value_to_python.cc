// Values that enter the host: Value to Python.
#include <complex>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <pybind11/complex.h>
#include <pybind11/pybind11.h>

#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/host_python.h"
#include "python/torchdeploy_pkg/_bindings/value_crossing.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

struct PythonMaker {
  const HostPython& host;

  py::object operator()(None) const { return py::none(); }
  py::object operator()(bool value) const { return py::bool_(value); }
  py::object operator()(int64_t value) const { return py::int_(value); }
  py::object operator()(double value) const { return py::float_(value); }
  py::object operator()(const std::complex<double>& value) const { return py::cast(value); }
  py::object operator()(const std::string& value) const { return py::str(value); }
  py::object operator()(const Bytes& value) const { return py::bytes(value.data); }
  py::object operator()(const Device& value) const { return host.adopt(value); }
  py::object operator()(const Dtype& value) const { return host.adopt(value); }
  py::object operator()(const Layout& value) const { return host.adopt(value); }
  py::object operator()(const Tensor& value) const {
    py::object made = host.torch.Make(value);
    return made ? made : host.adopt(value);
  }

  py::object operator()(const List& items) const {
    py::list list(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      list[i] = ToPython(host, items[i]);
    }
    return list;
  }

  py::object operator()(const Tuple& tuple) const {
    py::tuple made(tuple.items.size());
    for (size_t i = 0; i < tuple.items.size(); ++i) {
      made[i] = ToPython(host, tuple.items[i]);
    }
    return made;
  }

  py::object operator()(const Dict& pairs) const {
    py::dict dict;
    for (const auto& [key, value] : pairs) {
      dict[ToPython(host, key)] = ToPython(host, value);
    }
    return dict;
  }
};

}  // namespace

py::object ToPython(const HostPython& host, const Value& value) {
  return std::visit(PythonMaker{host}, value.variant());
}

}  // namespace torchdeploy
