// Values that leave the engine: IValue to td_value.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/dlpack_tensor.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/common/value_tree.h"
#include "interpreter_lib/native/ivalue_crossing.h"
#include "interpreter_lib/native/utf8.h"

namespace torchdeploy::native {
namespace {

[[noreturn]] void Refuse(const Place& place, const std::string& reason) {
  throw EngineError(TD_INVALID_ARGUMENT, place.ToString() + ": " + reason);
}

// The kind is set last, when what it stands for is there to be freed.
void SetText(td_value* out, td_kind kind, std::string_view text) {
  out->as.text = NewText(text);
  out->kind = kind;
}

void FromTensor(const at::Tensor& tensor, const Place& place, td_value* out) {
  if (!tensor.defined()) {
    return;
  }
  try {
    out->as.tensor = std::make_unique<ExportedTensor>(tensor).release()->managed();
    out->kind = TD_KIND_TENSOR;
  } catch (const CannotExport& reason) {
    Refuse(place, std::string("the tensor cannot cross: it is ") + reason.what() +
                      "; a strided, dense tensor with memory can");
  }
}

bool FromScalar(const c10::IValue& value, td_value* out) {
  if (value.isBool()) {
    *out = {TD_KIND_BOOL, 0, {.boolean = value.toBool()}};
  } else if (value.isInt()) {
    *out = {TD_KIND_INT, 0, {.integer = value.toInt()}};
  } else if (value.isDouble()) {
    *out = {TD_KIND_FLOAT, 0, {.real = value.toDouble()}};
  } else if (value.isComplexDouble()) {
    const c10::complex<double> number = value.toComplexDouble();
    *out = {TD_KIND_COMPLEX, 0, {.complex = {number.real(), number.imag()}}};
  } else if (value.isString()) {
    const std::string& text = value.toStringRef();
    SetText(out, IsUtf8(text) ? TD_KIND_STR : TD_KIND_BYTES, text);
  } else if (value.isDevice()) {
    SetText(out, TD_KIND_DEVICE, value.toDevice().str());
  } else {
    return false;
  }
  return true;
}

template <typename Items>
void FromItems(const Items& items, td_kind kind, const Place& place, td_value* out) {
  out->as.sequence = NewSequence(items.size());
  out->kind = kind;
  for (size_t i = 0; i < items.size(); ++i) {
    FromIValue(items[i], place.At(static_cast<int64_t>(i)), &out->as.sequence.items[i]);
  }
}

void FromDict(const c10::impl::GenericDict& dict, const Place& place, td_value* out) {
  out->as.dict = NewDict(dict.size());
  out->kind = TD_KIND_DICT;
  size_t i = 0;
  for (const auto& entry : dict) {
    td_value* const key = &out->as.dict.keys[i];
    td_value* const item = &out->as.dict.values[i];
    ++i;
    if (entry.key().isString() && IsUtf8(entry.key().toStringRef())) {
      SetText(key, TD_KIND_STR, entry.key().toStringRef());
      FromIValue(entry.value(), place.At(entry.key().toStringRef()), item);
    } else if (entry.key().isInt()) {
      *key = {TD_KIND_INT, 0, {.integer = entry.key().toInt()}};
      FromIValue(entry.value(), place.At(key->as.integer), item);
    } else {
      Refuse(place, "a dict key of type " + entry.key().type()->str() +
                        " cannot cross; int, and str that is UTF-8, can");
    }
  }
}

}  // namespace

void FromIValue(const c10::IValue& value, const Place& place, td_value* out) {
  if (place.depth() > kMaxDepth) {
    Refuse(place, "nested deeper than " + std::to_string(kMaxDepth) + " levels; it cannot cross");
  }
  if (value.isNone() || FromScalar(value, out)) {
    return;
  }
  if (value.isTensor()) {
    FromTensor(value.toTensor(), place, out);
  } else if (value.isTuple()) {
    FromItems(value.toTupleRef().elements(), TD_KIND_TUPLE, place, out);
  } else if (value.isList()) {
    FromItems(value.toList().vec(), TD_KIND_LIST, place, out);
  } else if (value.isGenericDict()) {
    FromDict(value.toGenericDict(), place, out);
  } else {
    Refuse(place, "a value of type " + value.type()->str() + " cannot cross");
  }
}

}  // namespace torchdeploy::native
