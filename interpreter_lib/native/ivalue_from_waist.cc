// Values that enter the engine: td_value to IValue.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/dlpack_tensor.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/native/ivalue_crossing.h"
#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {
namespace {

[[noreturn]] void Refuse(const Place& place, const std::string& reason) {
  throw EngineError(TD_INVALID_ARGUMENT, place.ToString() + ": " + reason);
}

std::string Text(const td_value& value) {
  return {value.as.text.data, value.as.text.size_bytes};
}

// What may stand where `type` is expected, None aside.
c10::TypePtr WithoutOptional(const c10::TypePtr& type) {
  const auto* const optional = type->castRaw<c10::OptionalType>();
  return optional != nullptr ? optional->getElementType() : type;
}

// The type of the elements of a container that nobody has declared one for.
c10::TypePtr ElementsOf(const td_value* values, size_t size) {
  const bool are_tensors = std::all_of(
      values, values + size, [](const td_value& value) { return value.kind == TD_KIND_TENSOR; });
  return are_tensors ? c10::TypePtr(c10::TensorType::get()) : c10::TypePtr(c10::AnyType::get());
}

// The dtype that holds what a number of that type can be; nothing for other types.
std::optional<at::ScalarType> DtypeOf(const c10::TypePtr& number) {
  switch (number->kind()) {
    case c10::TypeKind::BoolType:
      return at::kBool;
    case c10::TypeKind::IntType:
      return at::kLong;
    case c10::TypeKind::FloatType:
      return at::kDouble;
    default:
      return std::nullopt;
  }
}

// Whether elements of one dtype are numbers of the other without loss: as for plain numbers, an
// int may be a float, and nothing else is converted.
bool CanBe(at::ScalarType element, at::ScalarType number) {
  if (element == number) {
    return true;
  }
  const bool is_int = c10::isIntegralType(element, /*includeBool=*/false) && element != at::kUInt64;
  return is_int ? number != at::kBool : c10::isFloatingType(element) && number == at::kDouble;
}

// REQUIRES: `row` is contiguous, on the CPU, of Number's dtype.
template <typename Number>
c10::IValue ListOf(const at::Tensor& row, const c10::TypePtr& element) {
  c10::impl::GenericList numbers(element);
  numbers.reserve(static_cast<size_t>(row.numel()));
  const Number* const data = row.const_data_ptr<Number>();
  std::for_each(data, data + row.numel(), [&](Number number) { numbers.push_back(number); });
  return numbers;
}

// A tensor, or the number or the numbers that code asks for instead of one.
c10::IValue FromTensor(const at::Tensor& tensor, const c10::TypePtr& type) {
  const auto* const list = type->castRaw<c10::ListType>();
  const c10::TypePtr& number = list != nullptr ? list->getElementType() : type;
  const std::optional<at::ScalarType> dtype = DtypeOf(number);
  const bool has_shape = list != nullptr ? tensor.dim() == 1 : tensor.numel() == 1;
  if (!dtype.has_value() || !has_shape || !CanBe(tensor.scalar_type(), *dtype)) {
    return tensor;
  }
  const at::Tensor row = tensor.to(at::kCPU, *dtype).contiguous();
  switch (*dtype) {
    case at::kBool:
      return list != nullptr ? ListOf<bool>(row, number) : c10::IValue(row.item<bool>());
    case at::kLong:
      return list != nullptr ? ListOf<int64_t>(row, number) : c10::IValue(row.item<int64_t>());
    default:
      return list != nullptr ? ListOf<double>(row, number) : c10::IValue(row.item<double>());
  }
}

c10::IValue FromTuple(const td_sequence& items, const c10::TypePtr& type, const Place& place,
                      const FindObject& find) {
  const auto tuple = type->cast<c10::TupleType>();
  if (tuple != nullptr && tuple->elements().size() != items.size) {
    Refuse(place, "has " + std::to_string(items.size) + " elements; expected " + type->str());
  }
  std::vector<c10::IValue> elements;
  elements.reserve(items.size);
  for (size_t i = 0; i < items.size; ++i) {
    elements.push_back(ToIValue(items.items[i],
                                tuple != nullptr ? tuple->elements()[i] : c10::AnyType::get(),
                                place.At(static_cast<int64_t>(i)), find));
  }
  return tuple != nullptr && tuple->schema() != nullptr
             ? c10::ivalue::Tuple::createNamed(std::move(elements), tuple)
             : c10::ivalue::Tuple::create(std::move(elements));
}

c10::IValue FromList(const td_sequence& items, const c10::TypePtr& type, const Place& place,
                     const FindObject& find) {
  if (type->kind() == c10::TypeKind::StringType && items.size == 1) {
    return ToIValue(items.items[0], type, place.At(int64_t{0}), find);
  }
  if (type->kind() == c10::TypeKind::TupleType) {
    return FromTuple(items, type, place, find);
  }
  const auto* const list = type->castRaw<c10::ListType>();
  const c10::TypePtr element =
      list != nullptr ? list->getElementType() : ElementsOf(items.items, items.size);
  c10::impl::GenericList elements(element);
  elements.reserve(items.size);
  for (size_t i = 0; i < items.size; ++i) {
    elements.push_back(ToIValue(items.items[i], element, place.At(static_cast<int64_t>(i)), find));
  }
  return elements;
}

c10::IValue FromDict(const td_dict& items, const c10::TypePtr& type, const Place& place,
                     const FindObject& find) {
  const auto* const dict = type->castRaw<c10::DictType>();
  const bool are_numbers = items.size > 0 && items.keys[0].kind == TD_KIND_INT;
  c10::TypePtr key = are_numbers ? c10::TypePtr(c10::IntType::get()) : c10::StringType::get();
  c10::TypePtr value = ElementsOf(items.values, items.size);
  if (dict != nullptr) {
    key = dict->getKeyType();
    value = dict->getValueType();
  }
  c10::impl::GenericDict entries(key, value);
  for (size_t i = 0; i < items.size; ++i) {
    td_value& name = items.keys[i];
    const std::string text = name.kind == TD_KIND_STR ? Text(name) : "";
    const Place at = name.kind == TD_KIND_STR ? place.At(text) : place.At(name.as.integer);
    entries.insert(ToIValue(name, key, at, find), ToIValue(items.values[i], value, at, find));
  }
  return entries;
}

c10::IValue FromName(const td_value& value, const Place& place) {
  const std::string name = Text(value);
  if (value.kind == TD_KIND_DEVICE) {
    try {
      return c10::Device(name);
    } catch (const c10::Error&) {
      Refuse(place, "torch has no device '" + name + "'");
    }
  }
  const auto& dtypes = c10::getStringToDtypeMap();
  const auto found = dtypes.find(name);
  if (value.kind != TD_KIND_DTYPE || found == dtypes.end()) {
    Refuse(place, "'" + name + "' cannot enter TorchScript; a tensor's dtype and device can");
  }
  return static_cast<int64_t>(found->second);
}

c10::IValue FromValue(td_value& value, const c10::TypePtr& type, const Place& place,
                      const FindObject& find) {
  switch (value.kind) {
    case TD_KIND_NONE:
      return {};
    case TD_KIND_BOOL:
      return value.as.boolean != 0;
    case TD_KIND_INT:
      return type->kind() == c10::TypeKind::FloatType
                 ? c10::IValue(static_cast<double>(value.as.integer))
                 : c10::IValue(value.as.integer);
    case TD_KIND_FLOAT:
      return value.as.real;
    case TD_KIND_COMPLEX:
      return c10::complex<double>(value.as.complex[0], value.as.complex[1]);
    case TD_KIND_STR:
    case TD_KIND_BYTES:
      return Text(value);
    case TD_KIND_DEVICE:
    case TD_KIND_DTYPE:
    case TD_KIND_LAYOUT:
      return FromName(value, place);
    case TD_KIND_TENSOR:
      return FromTensor(TensorFromDlpack(std::exchange(value.as.tensor, nullptr), place), type);
    case TD_KIND_LIST:
      return FromList(value.as.sequence, type, place, find);
    case TD_KIND_TUPLE:
      return FromTuple(value.as.sequence, type, place, find);
    case TD_KIND_DICT:
      return FromDict(value.as.dict, type, place, find);
    case TD_KIND_OBJECT:
      return find(value.as.object)->Value();
  }
  Refuse(place, "is of the unknown kind " + std::to_string(value.kind));
}

}  // namespace

c10::IValue ToIValue(td_value& value, const c10::TypePtr& type, const Place& place,
                     const FindObject& find) {
  if (place.depth() > kMaxDepth) {
    Refuse(place, "nested deeper than " + std::to_string(kMaxDepth) + " levels; it cannot cross");
  }
  c10::IValue converted = FromValue(value, WithoutOptional(type), place, find);
  if (!converted.type()->isSubtypeOf(*type)) {
    Refuse(place, "is a value of type " + converted.type()->str() + "; expected " + type->str());
  }
  return converted;
}

}  // namespace torchdeploy::native
