#include "interpreter_lib/native/call_spec.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/native/ivalue_crossing.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/tree_spec.h"

#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

namespace torchdeploy::native {
namespace {

using Json = nlohmann::json;

[[noreturn]] void RefuseCall(const std::string& reason) {
  throw EngineError(TD_INVALID_ARGUMENT, "the compiled code " + reason);
}

[[noreturn]] void RefuseDescription(const std::string& description) {
  throw EngineError(TD_FAILED_PRECONDITION,
                    "its call is described in an unknown way: " + description);
}

const std::string& PartOf(const std::vector<std::string>& serialized, size_t index) {
  if (serialized.size() != 2) {
    throw EngineError(TD_FAILED_PRECONDITION, "it does not say how it is called");
  }
  return serialized[index];
}

// Treespecs are written with the version of how they are written.
Json NodeOf(const std::string& serialized) {
  const Json text = Json::parse(serialized, nullptr, false);
  if (!text.is_array() || text.size() != 2 || text.front() != 1) {
    RefuseDescription(serialized);
  }
  return text.back();
}

}  // namespace

CallSpec::CallSpec(const std::vector<std::string>& serialized)
    : parameters_(ParametersOf(PartOf(serialized, 0))),
      output_(NodeOf(PartOf(serialized, 1)), "result") {}

std::vector<CallSpec::Parameter> CallSpec::ParametersOf(const std::string& serialized) {
  const Json input = NodeOf(serialized);
  const Json both = input.is_object() ? input.value("children_spec", Json()) : Json();
  if (both.size() != 2) {
    RefuseDescription(serialized);
  }
  std::vector<Parameter> parameters;
  const Json by_position = both[0].value("children_spec", Json::array());
  parameters.reserve(by_position.size());
  for (size_t i = 0; i < by_position.size(); ++i) {
    parameters.push_back({"", TreeSpec(by_position[i], "argument " + std::to_string(i))});
  }
  // Their names are found by the spec of the dict that they make up.
  const TreeSpec by_name(both[1], "keyword arguments");
  const Json nodes = both[1].value("children_spec", Json::array());
  for (size_t i = 0; i < by_name.keys().size(); ++i) {
    const std::string& name = by_name.keys()[i].toStringRef();
    parameters.push_back({name, TreeSpec(nodes[i], "argument \"" + name + "\"")});
  }
  return parameters;
}

std::string CallSpec::Parameters() const {
  std::string text;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    text += (i == 0 ? "" : ", ") + (name.empty() ? "argument " + std::to_string(i) : name);
  }
  return text.empty() ? "nothing" : text;
}

size_t CallSpec::IndexOf(const std::string& name) const {
  const auto found = std::ranges::find(parameters_, name, &Parameter::name);
  if (name.empty() || found == parameters_.end()) {
    RefuseCall("has no argument \"" + name + "\"; it takes " + Parameters());
  }
  return static_cast<size_t>(found - parameters_.begin());
}

size_t CallSpec::inputs() const {
  return std::accumulate(
      parameters_.begin(), parameters_.end(), size_t{0},
      [](size_t sum, const Parameter& parameter) { return sum + parameter.spec.size(); });
}

std::vector<FlatTensor> CallSpec::Flatten(td_arguments& arguments, const FindObject& find) const {
  if (arguments.positional_size > parameters_.size()) {
    RefuseCall("got " + std::to_string(arguments.positional_size) +
               " arguments by position; it takes " + Parameters());
  }
  std::vector<td_value*> given(parameters_.size());
  for (size_t i = 0; i < arguments.positional_size; ++i) {
    given[i] = &arguments.positional[i];
  }
  for (size_t i = 0; i < arguments.keyword_size; ++i) {
    const td_text& name = arguments.keywords[i];
    td_value*& value = given[IndexOf({name.data, name.size_bytes})];
    if (value != nullptr) {
      RefuseCall("got the argument \"" + std::string(name.data, name.size_bytes) + "\" twice");
    }
    value = &arguments.keyword_values[i];
  }
  std::vector<FlatTensor> tensors;
  for (size_t i = 0; i < given.size(); ++i) {
    const TreeSpec& spec = parameters_[i].spec;
    if (given[i] == nullptr) {
      RefuseCall("lacks the " + spec.place() + "; it takes " + Parameters());
    }
    spec.Flatten(ToIValue(*given[i], c10::AnyType::get(), Place(spec.place()), find), tensors);
  }
  return tensors;
}

c10::IValue CallSpec::Unflatten(const std::vector<at::Tensor>& outputs) const {
  if (output_.size() != outputs.size()) {
    throw EngineError(TD_INTERNAL, "the compiled code gave " + std::to_string(outputs.size()) +
                                       " tensors; expected " + std::to_string(output_.size()));
  }
  std::span<const at::Tensor> left = outputs;
  return output_.Unflatten(left);
}

}  // namespace torchdeploy::native
