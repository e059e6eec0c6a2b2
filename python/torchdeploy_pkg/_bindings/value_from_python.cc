// Values that leave the host: Python to Value.
#include <complex>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/complex.h>
#include <pybind11/pybind11.h>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/dlpack_capsule.h"
#include "python/torchdeploy_pkg/_bindings/host_python.h"
#include "python/torchdeploy_pkg/_bindings/place.h"
#include "python/torchdeploy_pkg/_bindings/value_crossing.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

// As deep as the engine goes.
constexpr int kMaxDepth = 100;

// A value that cannot cross. Caught in this file.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void Refuse(const Place& place, const std::string& reason) {
  throw Refusal(place.ToString() + ": " + reason);
}

std::string TypeName(py::handle object) {
  const py::handle type = py::type::handle_of(object);
  return py::str(type.attr("__module__")).cast<std::string>() + "." +
         py::str(type.attr("__qualname__")).cast<std::string>();
}

int64_t ToInt64(py::handle object, const Place& place) {
  int overflow = 0;
  const int64_t integer = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  if (overflow != 0) {
    Refuse(place, "an int outside the 64-bit range cannot cross");
  }
  return integer;
}

std::string ToUtf8(py::handle object, const Place& place) {
  Py_ssize_t size = 0;
  const char* const data = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (data == nullptr) {
    PyErr_Clear();
    Refuse(place, "a str with a lone surrogate has no UTF-8 form and cannot cross");
  }
  return {data, static_cast<size_t>(size)};
}

// Converts one tree.
class Conversion {
 public:
  explicit Conversion(const HostPython& host) : host_(host) {}

  [[nodiscard]] Value Convert(py::handle object, const Place& place) const {
    if (place.depth() > kMaxDepth) {
      Refuse(place, "nested deeper than " + std::to_string(kMaxDepth) +
                        " levels, or contains itself; it cannot cross");
    }
    Value value;
    if (object.is_none() || FromScalar(object, place, value) ||
        FromContainer(object, place, value)) {
      return value;
    }
    if (std::optional<Tensor> tensor = host_.torch.Take(object); tensor.has_value()) {
      return *std::move(tensor);
    }
    return FromNative(object, place, value) ? value : FromForeign(object, place);
  }

 private:
  static bool FromScalar(py::handle object, const Place& place, Value& value) {
    if (py::isinstance<py::bool_>(object)) {
      value = object.cast<bool>();
    } else if (py::isinstance<py::int_>(object)) {
      value = ToInt64(object, place);
    } else if (py::isinstance<py::float_>(object)) {
      value = object.cast<double>();
    } else if (PyComplex_Check(object.ptr())) {
      value = object.cast<std::complex<double>>();
    } else if (py::isinstance<py::str>(object)) {
      value = ToUtf8(object, place);
    } else if (py::isinstance<py::bytes>(object)) {
      value = Bytes{object.cast<std::string>()};
    } else {
      return false;
    }
    return true;
  }

  bool FromContainer(py::handle object, const Place& place, Value& value) const {
    if (py::isinstance<py::list>(object)) {
      value = Items(object, place);
    } else if (py::isinstance<py::tuple>(object)) {
      value = Tuple{Items(object, place)};
    } else if (py::isinstance<py::dict>(object)) {
      value = Pairs(object, place);
    } else {
      return false;
    }
    return true;
  }

  // What as_plain() returns, and what ToPython() gave where torch is not imported.
  static bool FromNative(py::handle object, const Place& place, Value& value) {
    if (IsTensorCapsule(object)) {
      Result<Tensor> tensor = TakeCapsule(object);
      if (!tensor.ok()) {
        Refuse(place, tensor.status().message());
      }
      value = *std::move(tensor);
    } else if (py::isinstance<Device>(object)) {
      value = object.cast<Device>();
    } else if (py::isinstance<Dtype>(object)) {
      value = object.cast<Dtype>();
    } else if (py::isinstance<Layout>(object)) {
      value = object.cast<Layout>();
    } else {
      return false;
    }
    return true;
  }

  [[nodiscard]] Value FromForeign(py::handle object, const Place& place) const {
    const auto answer = host_.as_plain(object).cast<py::tuple>();
    if (!answer[1].is_none()) {
      Refuse(place, TypeName(object) + " cannot cross; " + answer[1].cast<std::string>());
    }
    Value value;
    const py::object plain = answer[0];
    if (!FromNative(plain, place, value) && !FromScalar(plain, place, value) &&
        !FromContainer(plain, place, value)) {
      Refuse(place, TypeName(object) + " cannot cross; it stands for a " + TypeName(plain));
    }
    return value;
  }

  [[nodiscard]] std::vector<Value> Items(py::handle object, const Place& place) const {
    // A snapshot: converting an element can run Python code that changes the list.
    const auto items = py::reinterpret_borrow<py::object>(object).cast<py::tuple>();
    std::vector<Value> values;
    values.reserve(items.size());
    for (const py::handle item : items) {
      values.push_back(Convert(item, place.At(static_cast<int64_t>(values.size()))));
    }
    return values;
  }

  [[nodiscard]] Dict Pairs(py::handle object, const Place& place) const {
    Dict pairs;
    // items(), not the C table: a subclass keeps an order of its own.
    for (const py::handle item : py::list(object.attr("items")())) {
      const auto [key, value] = item.cast<std::pair<py::object, py::object>>();
      if (py::isinstance<py::str>(key)) {
        std::string name = ToUtf8(key, place);
        Value converted = Convert(value, place.At(name));
        pairs.emplace_back(std::move(name), std::move(converted));
      } else if (py::isinstance<py::int_>(key) && !py::isinstance<py::bool_>(key)) {
        const int64_t index = ToInt64(key, place);
        pairs.emplace_back(index, Convert(value, place.At(index)));
      } else {
        Refuse(place, "a dict key of type " + TypeName(key) + " cannot cross; str and int can");
      }
    }
    return pairs;
  }

  const HostPython& host_;
};

}  // namespace

Result<std::vector<Value>> ArgsFromPython(const HostPython& host, const py::tuple& args) {
  try {
    const Place place("args");
    const Conversion conversion(host);
    std::vector<Value> values;
    values.reserve(args.size());
    for (const py::handle item : args) {
      values.push_back(conversion.Convert(item, place.At(static_cast<int64_t>(values.size()))));
    }
    return values;
  } catch (const Refusal& refusal) {
    return Status(Code::kInvalidArgument, refusal.what());
  }
}

Result<Kwargs> KwargsFromPython(const HostPython& host, const py::dict& kwargs) {
  try {
    const Place place("kwargs");
    const Conversion conversion(host);
    Kwargs values;
    values.reserve(kwargs.size());
    for (const auto& [key, item] : kwargs) {
      std::string name = ToUtf8(key, place);
      Value value = conversion.Convert(item, place.At(name));
      values.emplace_back(std::move(name), std::move(value));
    }
    return values;
  } catch (const Refusal& refusal) {
    return Status(Code::kInvalidArgument, refusal.what());
  }
}

}  // namespace torchdeploy
