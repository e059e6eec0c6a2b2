#include "interpreter_lib/native/call_arguments.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/native/ivalue_crossing.h"
#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {
namespace {

std::string Parameters(const c10::FunctionSchema& schema) {
  std::string text;
  for (size_t i = 1; i < schema.arguments().size(); ++i) {
    const c10::Argument& parameter = schema.arguments()[i];
    text += (i == 1 ? "" : ", ") + parameter.name() + ": " + parameter.type()->str();
  }
  return text.empty() ? "nothing" : text;
}

[[noreturn]] void Refuse(const c10::FunctionSchema& schema, const std::string& reason) {
  throw EngineError(TD_INVALID_ARGUMENT,
                    schema.name() + "() " + reason + "; it takes " + Parameters(schema));
}

std::string_view View(const td_text& text) {
  return {text.data, text.size_bytes};
}

// The index of the keyword argument of that name, or keyword_size.
size_t FindKeyword(const td_arguments& arguments, const std::string& name) {
  const td_text* const end = arguments.keywords + arguments.keyword_size;
  return static_cast<size_t>(
      std::find_if(arguments.keywords, end,
                   [&](const td_text& keyword) { return View(keyword) == name; }) -
      arguments.keywords);
}

void CheckKeywords(const c10::FunctionSchema& schema, const td_arguments& arguments) {
  for (size_t i = 0; i < arguments.keyword_size; ++i) {
    const std::string name(View(arguments.keywords[i]));
    const auto& parameters = schema.arguments();
    const auto found =
        std::find_if(parameters.begin() + 1, parameters.end(),
                     [&](const c10::Argument& parameter) { return parameter.name() == name; });
    if (found == parameters.end()) {
      Refuse(schema, "has no argument \"" + name + "\"");
    }
    if (static_cast<size_t>(found - parameters.begin()) <= arguments.positional_size ||
        FindKeyword(arguments, name) != i) {
      Refuse(schema, "got the argument \"" + name + "\" twice");
    }
  }
}

}  // namespace

std::vector<c10::IValue> MatchArguments(const c10::FunctionSchema& schema, td_arguments& arguments,
                                        const FindObject& find) {
  const size_t count = schema.arguments().size() - 1;
  if (arguments.positional_size > count) {
    Refuse(schema, "got " + std::to_string(arguments.positional_size) + " arguments by position");
  }
  CheckKeywords(schema, arguments);
  std::vector<c10::IValue> values;
  values.reserve(count + 1);  // And `self`.
  for (size_t i = 0; i < count; ++i) {
    const c10::Argument& parameter = schema.arguments()[i + 1];
    const size_t keyword = FindKeyword(arguments, parameter.name());
    if (i < arguments.positional_size) {
      const std::string name = "argument " + std::to_string(i);
      values.push_back(ToIValue(arguments.positional[i], parameter.type(), Place(name), find));
    } else if (keyword < arguments.keyword_size) {
      const std::string name = "argument \"" + parameter.name() + "\"";
      values.push_back(
          ToIValue(arguments.keyword_values[keyword], parameter.type(), Place(name), find));
    } else if (parameter.default_value()) {
      values.push_back(*parameter.default_value());
    } else {
      Refuse(schema, "lacks the argument \"" + parameter.name() + "\"");
    }
  }
  return values;
}

}  // namespace torchdeploy::native
