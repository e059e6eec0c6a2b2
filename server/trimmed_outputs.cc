#include "server/trimmed_outputs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/arguments.h"
#include "server/padded_tensors.h"
#include "server/padding.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

Value* FindOutput(Value& result, const std::string& name) {
  auto* const dict = result.get<Dict>();
  if (dict == nullptr) {
    return nullptr;
  }
  const auto found = std::find_if(dict->begin(), dict->end(), [&](const auto& output) {
    const auto* const key = output.first.template get<std::string>();
    return key != nullptr && *key == name;
  });
  return found == dict->end() || found->second.is<None>() ? nullptr : &found->second;
}

// Nothing when the request does not have the input so that it can be padded.
std::optional<int64_t> OwnExtentOf(const Padding& padding, const std::string& input,
                                   const Arguments& request) {
  const auto found = std::find_if(request.keywords.begin(), request.keywords.end(),
                                  [&](const auto& argument) { return argument.first == input; });
  if (found == request.keywords.end()) {
    return std::nullopt;
  }
  const PaddedInput* const padded = FindPadding(padding, input, found->second);
  return padded == nullptr ? std::nullopt : std::optional(OwnExtent(*padded, found->second));
}

// Of all requests, or of none.
std::vector<int64_t> OwnExtents(const Padding& padding, const std::string& input,
                                std::span<const Arguments* const> requests) {
  std::vector<int64_t> extents;
  for (const Arguments* request : requests) {
    const std::optional<int64_t> extent = OwnExtentOf(padding, input, *request);
    if (!extent.has_value()) {
      return {};
    }
    extents.push_back(*extent);
  }
  return extents;
}

Status NotAsLong(const std::string& name, const TrimmedOutput& trimmed, int64_t longest,
                 const std::string& found) {
  return {Code::kInternal, "output '" + name + "' of joined requests is " + found +
                               "; a tensor of extent " + std::to_string(longest) +
                               " in dimension " + std::to_string(trimmed.dimension) +
                               " is expected, as the longest '" + trimmed.as + "' has"};
}

Status Trim(const std::string& name, const TrimmedOutput& trimmed, int64_t longest, int64_t own,
            Value& output) {
  const auto* const tensor = output.get<Tensor>();
  if (tensor == nullptr) {
    return NotAsLong(name, trimmed, longest, "no tensor");
  }
  const std::span<const int64_t> shape = tensor->shape();
  const auto dimension = static_cast<size_t>(trimmed.dimension);
  if (dimension >= shape.size() || shape[dimension] != longest) {
    return NotAsLong(name, trimmed, longest,
                     dimension < shape.size()
                         ? "a tensor of extent " + std::to_string(shape[dimension])
                         : "a tensor of " + std::to_string(shape.size()) + " dimensions");
  }
  if (own == longest) {
    return {};
  }
  Result<Tensor> cut = Cut(*tensor, trimmed.dimension, own);
  if (!cut.ok()) {
    return cut.status();
  }
  output = *std::move(cut);
  return {};
}

Status TrimOutput(const std::string& name, const TrimmedOutput& trimmed,
                  std::span<const int64_t> own, std::span<Value> results) {
  const int64_t longest = *std::max_element(own.begin(), own.end());
  for (size_t i = 0; i < own.size(); ++i) {
    Value* const output = FindOutput(results[i], name);
    const Status status =
        output == nullptr ? Status() : Trim(name, trimmed, longest, own[i], *output);
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

}  // namespace

Status TrimOutputs(const Padding& padding, std::span<const Arguments* const> requests,
                   std::span<Value> results) {
  for (const auto& [name, trimmed] : padding.outputs) {
    const std::vector<int64_t> own = OwnExtents(padding, trimmed.as, requests);
    const Status status = own.empty() ? Status() : TrimOutput(name, trimmed, own, results);
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

}  // namespace torchdeploy::server
