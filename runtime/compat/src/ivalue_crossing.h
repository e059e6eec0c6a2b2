// at::IValue to Value and back.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/core/ivalue.h>
#include <c10/util/ArrayRef.h>

#include "torchdeploy/value.h"

namespace torch::deploy {

// Tensors share memory both ways, detached from autograd. std::runtime_error names the kind of an
// IValue that has no form in Python.
[[nodiscard]] torchdeploy::Value ToValue(const at::IValue& ivalue);
[[nodiscard]] std::vector<torchdeploy::Value> ToValues(at::ArrayRef<at::IValue> ivalues);
[[nodiscard]] torchdeploy::Kwargs ToKwargs(
    const std::unordered_map<std::string, c10::IValue>& ivalues);

// Bytes become a string; a dtype or a layout becomes the int that an IValue holds for it. Lists and
// dicts whose items are of one type are typed, others are of type Any.
[[nodiscard]] at::IValue ToIValue(const torchdeploy::Value& value);

}  // namespace torch::deploy
