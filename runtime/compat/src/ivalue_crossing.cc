#include "runtime/compat/src/ivalue_crossing.h"

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Dict.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <c10/core/Layout.h>
#include <c10/core/ScalarType.h>

#include "runtime/compat/src/tensor_crossing.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torch::deploy {

namespace {

using torchdeploy::Value;

constexpr std::array<std::pair<std::string_view, c10::Layout>, 8> kLayouts = {{
    {"strided", c10::Layout::Strided},
    {"sparse_coo", c10::Layout::Sparse},
    {"sparse_csr", c10::Layout::SparseCsr},
    {"sparse_csc", c10::Layout::SparseCsc},
    {"sparse_bsr", c10::Layout::SparseBsr},
    {"sparse_bsc", c10::Layout::SparseBsc},
    {"_mkldnn", c10::Layout::Mkldnn},
    {"jagged", c10::Layout::Jagged},
}};

torchdeploy::Dict ToPairs(const at::IValue& ivalue) {
  torchdeploy::Dict pairs;
  for (const auto& entry : ivalue.toGenericDict()) {
    pairs.emplace_back(ToValue(entry.key()), ToValue(entry.value()));
  }
  return pairs;
}

Value ScalarToValue(const at::IValue& ivalue) {
  if (ivalue.isBool()) {
    return ivalue.toBool();
  }
  if (ivalue.isInt()) {
    return ivalue.toInt();
  }
  if (ivalue.isDouble()) {
    return ivalue.toDouble();
  }
  if (ivalue.isComplexDouble()) {
    return std::complex<double>(ivalue.toComplexDouble());
  }
  if (ivalue.isString()) {
    return ivalue.toStringRef();
  }
  if (ivalue.isDevice()) {
    return torchdeploy::Device{ivalue.toDevice().str()};
  }
  throw std::runtime_error("An IValue of kind " + ivalue.tagKind() +
                           " cannot cross to Python; a Tensor, None, bool, int, float, complex, "
                           "string, device, tuple, list or dict can.");
}

// What all of `items` are, or Any.
c10::TypePtr CommonType(const std::vector<at::IValue>& items) {
  if (items.empty()) {
    return c10::AnyType::get();
  }
  c10::TypePtr common = items.front().type();
  for (const at::IValue& item : items) {
    if (*item.type() != *common) {
      return c10::AnyType::get();
    }
  }
  return common;
}

// Value to IValue, one function for each of its alternatives.
struct Conversion {
  at::IValue operator()(const torchdeploy::None& /*none*/) const { return {}; }
  at::IValue operator()(bool value) const { return value; }
  at::IValue operator()(int64_t value) const { return value; }
  at::IValue operator()(double value) const { return value; }
  at::IValue operator()(std::complex<double> value) const { return c10::complex<double>(value); }
  at::IValue operator()(const std::string& value) const { return value; }
  at::IValue operator()(const torchdeploy::Bytes& bytes) const { return bytes.data; }
  at::IValue operator()(const torchdeploy::Device& device) const {
    return c10::Device(device.name);
  }
  at::IValue operator()(const torchdeploy::Dtype& dtype) const {
    const auto& names = c10::getStringToDtypeMap();
    const auto found = names.find(dtype.name);
    if (found == names.end()) {
      throw std::runtime_error("There is no dtype torch." + dtype.name + " in this torch.");
    }
    return found->second;
  }
  at::IValue operator()(const torchdeploy::Layout& layout) const {
    for (const auto& [name, value] : kLayouts) {
      if (name == layout.name) {
        return value;
      }
    }
    throw std::runtime_error("There is no layout torch." + layout.name + " in this torch.");
  }
  at::IValue operator()(const torchdeploy::Tensor& tensor) const { return ToAtTensor(tensor); }
  at::IValue operator()(const torchdeploy::Tuple& tuple) const {
    return c10::ivalue::Tuple::create(Items(tuple.items));
  }
  at::IValue operator()(const torchdeploy::List& list) const {
    const std::vector<at::IValue> items = Items(list);
    c10::impl::GenericList result(CommonType(items));
    result.reserve(items.size());
    for (const at::IValue& item : items) {
      result.push_back(item);
    }
    return result;
  }
  at::IValue operator()(const torchdeploy::Dict& dict) const {
    std::vector<at::IValue> keys;
    std::vector<at::IValue> values;
    for (const auto& [key, value] : dict) {
      keys.push_back(ToIValue(key));
      values.push_back(ToIValue(value));
    }
    c10::impl::GenericDict result(CommonType(keys), CommonType(values));
    result.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      result.insert(keys[i], values[i]);
    }
    return result;
  }

  static std::vector<at::IValue> Items(const std::vector<Value>& values) {
    std::vector<at::IValue> items;
    items.reserve(values.size());
    for (const Value& value : values) {
      items.push_back(ToIValue(value));
    }
    return items;
  }
};

}  // namespace

Value ToValue(const at::IValue& ivalue) {
  if (ivalue.isNone()) {
    return torchdeploy::None{};
  }
  if (ivalue.isTensor()) {
    const at::Tensor& tensor = ivalue.toTensor();
    return tensor.defined() ? Value(ToTensor(tensor)) : Value(torchdeploy::None{});
  }
  if (ivalue.isTuple()) {
    return torchdeploy::Tuple{ToValues(ivalue.toTupleRef().elements())};
  }
  if (ivalue.isList()) {
    return ToValues(ivalue.toListRef());
  }
  if (ivalue.isGenericDict()) {
    return ToPairs(ivalue);
  }
  return ScalarToValue(ivalue);
}

std::vector<Value> ToValues(at::ArrayRef<at::IValue> ivalues) {
  std::vector<Value> values;
  values.reserve(ivalues.size());
  for (const at::IValue& ivalue : ivalues) {
    values.push_back(ToValue(ivalue));
  }
  return values;
}

torchdeploy::Kwargs ToKwargs(const std::unordered_map<std::string, c10::IValue>& ivalues) {
  torchdeploy::Kwargs kwargs;
  for (const auto& [name, ivalue] : ivalues) {
    kwargs.emplace_back(name, ToValue(ivalue));
  }
  return kwargs;
}

at::IValue ToIValue(const Value& value) {
  return std::visit(Conversion(), value.variant());
}

}  // namespace torch::deploy
