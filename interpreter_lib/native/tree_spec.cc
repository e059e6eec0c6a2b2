#include "interpreter_lib/native/tree_spec.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"

#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

namespace torchdeploy::native {
namespace {

using Json = nlohmann::json;

[[noreturn]] void Refuse(const std::string& place, const std::string& reason) {
  throw EngineError(TD_INVALID_ARGUMENT, place + ": " + reason);
}

bool IsKey(const Json& value) {
  return value.is_string() || value.is_number_integer();
}

// Those of a node with `count` children that have names; nothing of other nodes. A dict's context
// are its keys, that of a class with fields begins with their names.
std::optional<Json> KeysOf(const Json& context, size_t count) {
  const bool is_nested = context.is_array() && !context.empty() && context.front().is_array();
  const Json& keys = is_nested ? context.front() : context;
  const bool are_keys =
      keys.is_array() && keys.size() == count && std::ranges::all_of(keys, &IsKey);
  return are_keys ? std::optional(keys) : std::nullopt;
}

c10::IValue KeyOf(const Json& key) {
  return key.is_string() ? c10::IValue(key.get<std::string>()) : c10::IValue(key.get<int64_t>());
}

std::string Shown(const c10::IValue& key) {
  if (key.isInt()) {
    return std::to_string(key.toInt());
  }
  return key.isString() ? '"' + key.toStringRef() + '"' : "of type " + key.type()->str();
}

bool IsList(const std::string& type) {
  return type == "builtins.list" || type == "collections.deque" ||
         type == "torch.fx.immutable_collections.immutable_list";
}

// What a node says of itself besides its children; of a named tuple it is no JSON.
Json ContextOf(const Json& node) {
  const Json& context = node.at("context");
  Json parsed =
      context.is_string() ? Json::parse(context.get<std::string>(), nullptr, false) : context;
  // A defaultdict's.
  return parsed.is_object() ? parsed.value("dict_context", Json()) : parsed;
}

}  // namespace

TreeSpec::TreeSpec(const Json& serialized, std::string place) : place_(std::move(place)) {
  try {
    const Json& type = serialized.at("type");
    if (type.is_null()) {
      return;
    }
    const Json& children = serialized.at("children_spec");
    const std::optional<Json> keys = KeysOf(ContextOf(serialized), children.size());
    const auto name = type.get<std::string>();
    kind_ = keys ? Kind::kDict : IsList(name) ? Kind::kList : Kind::kTuple;
    if (!keys && name.ends_with("ict")) {
      throw EngineError(TD_FAILED_PRECONDITION,
                        place_ + " is a dict with other keys than text and integers");
    }
    for (size_t i = 0; i < children.size(); ++i) {
      keys_.push_back(keys ? KeyOf((*keys)[i]) : c10::IValue(static_cast<int64_t>(i)));
      children_.emplace_back(children[i], place_ + "[" + Shown(keys_.back()) + "]");
    }
    if (!keys) {
      keys_.clear();
    }
  } catch (const Json::exception& error) {
    throw EngineError(TD_FAILED_PRECONDITION,
                      std::string("its call is described in an unknown way: ") + error.what());
  }
}

void TreeSpec::Flatten(const c10::IValue& value, std::vector<FlatTensor>& tensors) const {
  if (kind_ == Kind::kLeaf) {
    if (!value.isTensor()) {
      Refuse(place_,
             "is a value of type " + value.type()->str() + "; compiled code takes tensors alone");
    }
    if (value.toTensor().numel() == 0) {
      Refuse(place_, "is a tensor without elements, which compiled code does not take");
    }
    tensors.push_back({value.toTensor(), &place_});
    return;
  }
  if (kind_ == Kind::kDict) {
    FlattenDict(value, tensors);
    return;
  }
  if (!value.isTuple() && !value.isList()) {
    Refuse(place_, "is a value of type " + value.type()->str() + "; expected a list or tuple of " +
                       std::to_string(children_.size()));
  }
  const c10::ArrayRef<c10::IValue> items =
      value.isTuple() ? value.toTupleRef().elements() : value.toListRef();
  if (items.size() != children_.size()) {
    Refuse(place_, "has " + std::to_string(items.size()) + " elements; expected " +
                       std::to_string(children_.size()));
  }
  for (size_t i = 0; i < children_.size(); ++i) {
    children_[i].Flatten(items[i], tensors);
  }
}

void TreeSpec::FlattenDict(const c10::IValue& value, std::vector<FlatTensor>& tensors) const {
  if (!value.isGenericDict()) {
    Refuse(place_, "is a value of type " + value.type()->str() + "; expected a dict of " +
                       std::to_string(children_.size()));
  }
  const c10::impl::GenericDict dict = value.toGenericDict();
  for (const auto& entry : dict) {
    if (std::ranges::find(keys_, entry.key()) == keys_.end()) {
      Refuse(place_, "has the key " + Shown(entry.key()) + ", which the compiled code has not");
    }
  }
  for (size_t i = 0; i < children_.size(); ++i) {
    const auto found = dict.find(keys_[i]);
    if (found == dict.end()) {
      Refuse(place_, "lacks the key " + Shown(keys_[i]));
    }
    children_[i].Flatten(found->value(), tensors);
  }
}

c10::IValue TreeSpec::Unflatten(std::span<const at::Tensor>& tensors) const {
  if (kind_ == Kind::kLeaf) {
    const at::Tensor& tensor = tensors.front();
    tensors = tensors.subspan(1);
    return tensor.defined() ? c10::IValue(tensor) : c10::IValue();
  }
  std::vector<c10::IValue> values;
  values.reserve(children_.size());
  for (const TreeSpec& child : children_) {
    values.push_back(child.Unflatten(tensors));
  }
  if (kind_ == Kind::kTuple) {
    return c10::ivalue::Tuple::create(std::move(values));
  }
  if (kind_ == Kind::kList) {
    c10::impl::GenericList list(c10::AnyType::get());
    for (c10::IValue& value : values) {
      list.push_back(std::move(value));
    }
    return list;
  }
  const bool are_numbers = !keys_.empty() && keys_.front().isInt();
  c10::impl::GenericDict dict(
      are_numbers ? c10::TypePtr(c10::IntType::get()) : c10::TypePtr(c10::StringType::get()),
      c10::AnyType::get());
  for (size_t i = 0; i < children_.size(); ++i) {
    dict.insert(keys_[i], std::move(values[i]));
  }
  return dict;
}

size_t TreeSpec::size() const {
  if (kind_ == Kind::kLeaf) {
    return 1;
  }
  return std::accumulate(children_.begin(), children_.end(), size_t{0},
                         [](size_t sum, const TreeSpec& child) { return sum + child.size(); });
}

}  // namespace torchdeploy::native
