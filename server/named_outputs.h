// Stable names for the parts of a model's result.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "torchdeploy/manifest.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// Name and value of each part that is one output: a tensor, a number, or text in lists.
//
// A dict's parts are named by its keys; those of a tuple or a list OUTPUT__0, OUTPUT__1 ...; a
// result that is one part OUTPUT__0. Deeper parts are joined by ".": "hidden.0", "OUTPUT__1.loss".
// None is left out, and so is an empty list, unless `declared` says that it is BYTES. The
// pointers are into `result`.
std::vector<std::pair<std::string, const Value*>> NameOutputs(const Value& result,
                                                              std::span<const TensorSpec> declared);

}  // namespace torchdeploy::server
