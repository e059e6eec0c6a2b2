#include "runtime/src/value_crossing.h"

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <dlpack/dlpack.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

namespace {

void LayOutText(td_kind kind, const std::string& text, td_value& place) {
  place.kind = kind;
  place.as.text = {text.data(), text.size()};
}

Status LayOutTensor(const Tensor& tensor, td_value& place) {
  if (tensor.empty()) {
    return {
        Code::kInvalidArgument,
        "An empty Tensor handle was passed; every tensor that crosses needs memory or a shape."};
  }
  place.as.tensor = tensor.ToDLPack();
  place.kind = TD_KIND_TENSOR;
  return {};
}

// The kinds without children.
struct ScalarLayout {
  td_value& place;

  void operator()(None) const { place.kind = TD_KIND_NONE; }
  void operator()(bool value) const {
    place.kind = TD_KIND_BOOL;
    place.as.boolean = value ? 1 : 0;
  }
  void operator()(int64_t value) const {
    place.kind = TD_KIND_INT;
    place.as.integer = value;
  }
  void operator()(double value) const {
    place.kind = TD_KIND_FLOAT;
    place.as.real = value;
  }
  void operator()(const std::complex<double>& value) const {
    place.kind = TD_KIND_COMPLEX;
    place.as.complex[0] = value.real();
    place.as.complex[1] = value.imag();
  }
  void operator()(const std::string& value) const { LayOutText(TD_KIND_STR, value, place); }
  void operator()(const Bytes& value) const { LayOutText(TD_KIND_BYTES, value.data, place); }
  void operator()(const Device& value) const { LayOutText(TD_KIND_DEVICE, value.name, place); }
  void operator()(const Dtype& value) const { LayOutText(TD_KIND_DTYPE, value.name, place); }
  void operator()(const Layout& value) const { LayOutText(TD_KIND_LAYOUT, value.name, place); }
};

void DropUntaken(const td_value& value) {
  if (value.kind == TD_KIND_TENSOR && value.as.tensor != nullptr) {
    value.as.tensor->deleter(value.as.tensor);  // Set by Tensor::ToDLPack().
  }
}

Status Malformed(const std::string& what) {
  return {Code::kInternal, "The engine returned " + what + ", which the waist does not allow."};
}

std::string TextOf(const td_value& value) {
  const td_text& text = value.as.text;
  return text.size_bytes == 0 ? std::string() : std::string(text.data, text.size_bytes);
}

Result<Value> TakeTensor(td_value& value, AliasedTensors aliased) {
  if (value.as.tensor == nullptr) {
    return Malformed("a null tensor");
  }
  Tensor tensor = Tensor::FromDLPack(std::exchange(value.as.tensor, nullptr));
  if (aliased == AliasedTensors::kShare || (value.flags & TD_VALUE_ALIASED) == 0) {
    return Value(std::move(tensor));
  }
  Result<Tensor> copy = tensor.Clone();
  if (!copy.ok()) {
    return copy.status();
  }
  return Value(*std::move(copy));
}

Result<Value> TakeListOrTuple(const td_value& value, AliasedTensors aliased) {
  const td_sequence& sequence = value.as.sequence;
  std::vector<Value> items;
  items.reserve(sequence.size);
  for (td_value& item : std::span(sequence.items, sequence.size)) {
    Result<Value> taken = TakeValue(item, aliased);
    if (!taken.ok()) {
      return taken.status();
    }
    items.push_back(*std::move(taken));
  }
  return value.kind == TD_KIND_LIST ? Value(std::move(items)) : Value(Tuple{std::move(items)});
}

Result<Value> TakeDict(const td_dict& dict, AliasedTensors aliased) {
  Dict items;
  items.reserve(dict.size);
  for (size_t i = 0; i < dict.size; ++i) {
    if (dict.keys[i].kind != TD_KIND_STR && dict.keys[i].kind != TD_KIND_INT) {
      return Malformed("a dict key of kind " + std::to_string(dict.keys[i].kind));
    }
    Result<Value> key = TakeValue(dict.keys[i], aliased);
    Result<Value> value = TakeValue(dict.values[i], aliased);
    if (!key.ok() || !value.ok()) {
      return key.ok() ? value.status() : key.status();
    }
    items.emplace_back(*std::move(key), *std::move(value));
  }
  return Value(std::move(items));
}

}  // namespace

LaidOutValues::~LaidOutValues() {
  for (const std::vector<td_value>& block : blocks_) {
    std::for_each(block.begin(), block.end(), DropUntaken);
  }
}

td_value* LaidOutValues::NewBlock(size_t size) {
  return blocks_.emplace_back(size, td_value{}).data();
}

Status LaidOutValues::LayOut(const Value& value, td_value& place) {
  return std::visit(
      [&](const auto& held) -> Status {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, Tensor>) {
          return LayOutTensor(held, place);
        } else if constexpr (std::is_same_v<Held, List>) {
          return LayOutSequence(held, TD_KIND_LIST, place);
        } else if constexpr (std::is_same_v<Held, Tuple>) {
          return LayOutSequence(held.items, TD_KIND_TUPLE, place);
        } else if constexpr (std::is_same_v<Held, Dict>) {
          return LayOutDict(held, place);
        } else {
          ScalarLayout{place}(held);
          return {};
        }
      },
      value.variant());
}

Status LaidOutValues::LayOutSequence(const std::vector<Value>& items, td_kind kind,
                                     td_value& place) {
  td_value* const block = NewBlock(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    Status status = LayOut(items[i], block[i]);
    if (!status.ok()) {
      return status;
    }
  }
  place.kind = kind;
  place.as.sequence = {block, items.size()};
  return {};
}

Status LaidOutValues::LayOutDict(const Dict& dict, td_value& place) {
  td_value* const keys = NewBlock(dict.size());
  td_value* const values = NewBlock(dict.size());
  for (size_t i = 0; i < dict.size(); ++i) {
    const auto& [key, value] = dict[i];
    if (!key.is<std::string>() && !key.is<int64_t>()) {
      return {Code::kInvalidArgument,
              "Key " + std::to_string(i) + " of a dict is neither a string nor an integer."};
    }
    Status status = LayOut(key, keys[i]);
    if (status.ok()) {
      status = LayOut(value, values[i]);
    }
    if (!status.ok()) {
      return status;
    }
  }
  place.kind = TD_KIND_DICT;
  place.as.dict = {keys, values, dict.size()};
  return {};
}

Result<Value> TakeValue(td_value& value, AliasedTensors aliased) {
  switch (value.kind) {
    case TD_KIND_NONE:
      return Value(None());
    case TD_KIND_BOOL:
      return Value(value.as.boolean != 0);
    case TD_KIND_INT:
      return Value(value.as.integer);
    case TD_KIND_FLOAT:
      return Value(value.as.real);
    case TD_KIND_COMPLEX:
      return Value(std::complex<double>(value.as.complex[0], value.as.complex[1]));
    case TD_KIND_STR:
      return Value(TextOf(value));
    case TD_KIND_BYTES:
      return Value(Bytes{TextOf(value)});
    case TD_KIND_DEVICE:
      return Value(Device{TextOf(value)});
    case TD_KIND_DTYPE:
      return Value(Dtype{TextOf(value)});
    case TD_KIND_LAYOUT:
      return Value(Layout{TextOf(value)});
    case TD_KIND_TENSOR:
      return TakeTensor(value, aliased);
    case TD_KIND_LIST:
    case TD_KIND_TUPLE:
      return TakeListOrTuple(value, aliased);
    case TD_KIND_DICT:
      return TakeDict(value.as.dict, aliased);
    case TD_KIND_OBJECT:
      return Malformed("an object where a value was wanted");
  }
  return Malformed("a value of kind " + std::to_string(value.kind));
}

}  // namespace torchdeploy
