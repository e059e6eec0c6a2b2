// Makes td_value trees, and shows them as text.
#include "tests/cpp/engine/values.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy::testing {
namespace {

std::string ShowExtents(const int64_t* extents, int32_t size) {
  std::ostringstream out;
  out << "[";
  for (int32_t i = 0; i < size; ++i) {
    out << (i == 0 ? "" : ", ") << extents[i];
  }
  out << "]";
  return out.str();
}

std::string ShowTensor(const DLTensor& tensor) {
  return "tensor(" + std::to_string(tensor.dtype.code) + "." + std::to_string(tensor.dtype.bits) +
         ", " + ShowExtents(tensor.shape, tensor.ndim) + ", " +
         ShowExtents(tensor.strides, tensor.ndim) + ")";
}

std::string ShowNumber(double number) {
  std::ostringstream out;
  out << number;
  return out.str();
}

std::string ShowItems(const td_sequence& items) {
  std::string text;
  for (size_t i = 0; i < items.size; ++i) {
    text += (i == 0 ? "" : ", ") + Show(items.items[i]);
  }
  return text;
}

std::string ShowDict(const td_dict& dict) {
  std::string text;
  for (size_t i = 0; i < dict.size; ++i) {
    text += (i == 0 ? "" : ", ") + Show(dict.keys[i]) + ": " + Show(dict.values[i]);
  }
  return "{" + text + "}";
}

std::vector<int64_t> RowMajor(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i > 1; --i) {
    strides[i - 2] = strides[i - 1] * shape[i - 1];
  }
  return strides;
}

void AppendFloats(const DLTensor& tensor, int32_t dimension, const float* data,
                  std::vector<float>* out) {
  if (dimension == tensor.ndim) {
    out->push_back(*data);
    return;
  }
  for (int64_t i = 0; i < tensor.shape[dimension]; ++i) {
    AppendFloats(tensor, dimension + 1, data + i * tensor.strides[dimension], out);
  }
}

}  // namespace

td_value Arena::Bool(bool value) {
  return {TD_KIND_BOOL, 0, {.boolean = value ? 1 : 0}};
}
td_value Arena::Int(int64_t value) {
  return {TD_KIND_INT, 0, {.integer = value}};
}
td_value Arena::Float(double value) {
  return {TD_KIND_FLOAT, 0, {.real = value}};
}
td_value Arena::Complex(double real, double imaginary) {
  return {TD_KIND_COMPLEX, 0, {.complex = {real, imaginary}}};
}
td_value Arena::Object(td_object object) {
  return {TD_KIND_OBJECT, 0, {.object = object}};
}
td_value Arena::Tensor(DLManagedTensorVersioned* tensor) {
  return {TD_KIND_TENSOR, 0, {.tensor = tensor}};
}

td_value Arena::Text(td_kind kind, std::string_view text) {
  const std::string& kept = texts_.emplace_back(text);
  return {kind, 0, {.text = {kept.data(), kept.size()}}};
}

td_value Arena::Sequence(td_kind kind, std::vector<td_value> items) {
  std::vector<td_value>& kept = arrays_.emplace_back(std::move(items));
  return {kind, 0, {.sequence = {kept.data(), kept.size()}}};
}

td_value Arena::Dict(const std::vector<std::pair<td_value, td_value>>& items) {
  std::vector<td_value>& keys = arrays_.emplace_back();
  std::vector<td_value>& values = arrays_.emplace_back();
  for (const auto& [key, value] : items) {
    keys.push_back(key);
    values.push_back(value);
  }
  return {TD_KIND_DICT, 0, {.dict = {keys.data(), values.data(), keys.size()}}};
}

DLManagedTensorVersioned* RawTensor(DLDataType dtype, std::vector<int64_t> shape,
                                    std::vector<int64_t> strides, std::vector<std::byte> data,
                                    int* deletions) {
  auto tensor = std::make_unique<HostTensor>();
  tensor->memory = std::move(data);
  tensor->strides = strides.empty() ? RowMajor(shape) : std::move(strides);
  tensor->shape = std::move(shape);
  tensor->deletions = deletions;
  tensor->managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  tensor->managed.manager_ctx = tensor.get();
  tensor->managed.deleter = [](DLManagedTensorVersioned* self) {
    const std::unique_ptr<HostTensor> owner(static_cast<HostTensor*>(self->manager_ctx));
    if (owner->deletions != nullptr) {
      ++*owner->deletions;
    }
  };
  tensor->managed.dl_tensor = {.data = tensor->memory.data(),
                               .device = {kDLCPU, 0},
                               .ndim = static_cast<int32_t>(tensor->shape.size()),
                               .dtype = dtype,
                               .shape = tensor->shape.data(),
                               .strides = tensor->strides.data(),
                               .byte_offset = 0};
  return &tensor.release()->managed;
}

DLManagedTensorVersioned* FloatTensor(std::vector<int64_t> shape, const std::vector<float>& data,
                                      int* deletions) {
  std::vector<std::byte> bytes(data.size() * sizeof(float));
  if (!data.empty()) {
    std::memcpy(bytes.data(), data.data(), bytes.size());
  }
  return RawTensor(kFloat32, std::move(shape), {}, std::move(bytes), deletions);
}

std::string Show(const td_value& value) {
  const auto text = [&value] { return std::string(value.as.text.data, value.as.text.size_bytes); };
  switch (value.kind) {
    case TD_KIND_NONE:
      return "None";
    case TD_KIND_BOOL:
      return value.as.boolean != 0 ? "True" : "False";
    case TD_KIND_INT:
      return std::to_string(value.as.integer);
    case TD_KIND_FLOAT:
      return ShowNumber(value.as.real) + "f";
    case TD_KIND_COMPLEX:
      return ShowNumber(value.as.complex[0]) + "+" + ShowNumber(value.as.complex[1]) + "j";
    case TD_KIND_STR:
      return "'" + text() + "'";
    case TD_KIND_BYTES:
      return "b'" + text() + "'";
    case TD_KIND_DEVICE:
      return "device " + text();
    case TD_KIND_DTYPE:
      return "dtype " + text();
    case TD_KIND_LAYOUT:
      return "layout " + text();
    case TD_KIND_TENSOR:
      return ShowTensor(value.as.tensor->dl_tensor);
    case TD_KIND_LIST:
      return "[" + ShowItems(value.as.sequence) + "]";
    case TD_KIND_TUPLE:
      return "(" + ShowItems(value.as.sequence) + ")";
    case TD_KIND_DICT:
      return ShowDict(value.as.dict);
    case TD_KIND_OBJECT:
      return "object";
  }
  return "unknown";
}

std::vector<float> Floats(const td_value& value) {
  const DLTensor& tensor = value.as.tensor->dl_tensor;
  const auto* const data = reinterpret_cast<const float*>(
      static_cast<const std::byte*>(tensor.data) + tensor.byte_offset);
  std::vector<float> floats;
  AppendFloats(tensor, 0, data, &floats);
  return floats;
}

}  // namespace torchdeploy::testing
