// What can be passed to and returned from Python.
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "torchdeploy/tensor.h"

namespace torchdeploy {

class Value;

struct None {};
struct Bytes {
  std::string data;
};
struct Device {
  std::string name;  // str(torch.device), such as "cuda:0".
};
struct Dtype {
  std::string name;  // Without "torch.", such as "float32".
};
struct Layout {
  std::string name;  // Without "torch.", such as "strided".
};
using List = std::vector<Value>;
struct Tuple {
  std::vector<Value> items;
};
// Keys are strings or integers; insertion order is kept.
using Dict = std::vector<std::pair<Value, Value>>;

// A tree of plain data and tensors. A value type; copies share tensor memory.
//
// Python's types arrive as: None, bool, int (within int64, else an error), float, complex,
// str, bytes, torch.device, torch.dtype, torch.layout, torch.Tensor and numpy.ndarray
// (Tensor), list, tuple (also named), dict (str or int keys; also its subclasses).
class Value {
 public:
  using Variant = std::variant<None, bool, int64_t, double, std::complex<double>, std::string,
                               Bytes, Device, Dtype, Layout, Tensor, List, Tuple, Dict>;

  Value() = default;
  // Implicit on purpose: Call({x, 3, "mean"}) reads as the Python call does.
  Value(None) {}                                           // NOLINT(google-explicit-constructor)
  Value(bool value) : data_(value) {}                      // NOLINT(google-explicit-constructor)
  Value(int value) : data_(int64_t{value}) {}              // NOLINT(google-explicit-constructor)
  Value(int64_t value) : data_(value) {}                   // NOLINT(google-explicit-constructor)
  Value(double value) : data_(value) {}                    // NOLINT(google-explicit-constructor)
  Value(std::complex<double> value) : data_(value) {}      // NOLINT(google-explicit-constructor)
  Value(const char* value) : data_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Value(std::string value) : data_(std::move(value)) {}    // NOLINT(google-explicit-constructor)
  Value(Bytes value) : data_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Value(Device value) : data_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Value(Dtype value) : data_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Value(Layout value) : data_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Value(Tensor value) : data_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Value(List value) : data_(std::move(value)) {}           // NOLINT(google-explicit-constructor)
  Value(Tuple value) : data_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Value(Dict value) : data_(std::move(value)) {}           // NOLINT(google-explicit-constructor)

  template <typename T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(data_);
  }
  // Null when the value is of another type.
  template <typename T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&data_);
  }
  template <typename T>
  [[nodiscard]] T* get() {
    return std::get_if<T>(&data_);
  }
  [[nodiscard]] const Variant& variant() const { return data_; }
  [[nodiscard]] Variant& variant() { return data_; }

 private:
  Variant data_;
};

// Name and value of each keyword argument.
using Kwargs = std::vector<std::pair<std::string, Value>>;

}  // namespace torchdeploy
