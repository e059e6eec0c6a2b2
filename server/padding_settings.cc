#include "server/padding_settings.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "server/datatype.h"
#include "server/nearest_name.h"
#include "server/padding.h"
#include "server/padding_value.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

using Specs = std::vector<TensorSpec>;

Status Invalid(const std::string& place, const std::string& message) {
  return {Code::kInvalidArgument, place + ": " + message};
}

// `what` is "input" or "output".
Result<TensorSpec> Find(const Specs& specs, const std::string& name, const std::string& place,
                        const std::string& what) {
  std::vector<std::string_view> names;
  for (const TensorSpec& spec : specs) {
    if (spec.name == name) {
      return spec;
    }
    names.push_back(spec.name);
  }
  const std::string nearest =
      names.empty() ? "" : "; did you mean '" + std::string(NearestName(name, names)) + "'?";
  return Invalid(place, "the model has no " + what + " '" + name + "'" + nearest);
}

// Whether tensors of this kind can be longer in this dimension.
Status CheckDimension(const TensorSpec& spec, int64_t dimension, const std::string& place) {
  if (spec.datatype == kBytes) {
    return Invalid(place, "'" + spec.name + "' is BYTES; only tensors are padded");
  }
  const std::string declared = "'" + spec.name + "' is declared ";
  if (!spec.shape.has_value()) {
    return Invalid(place, declared + "without a shape; it must have one to be padded");
  }
  if (static_cast<size_t>(dimension) >= spec.shape->size()) {
    return Invalid(place, "dimension is " + std::to_string(dimension) + ", but " + declared +
                              "with " + std::to_string(spec.shape->size()) + " dimensions");
  }
  const int64_t extent = (*spec.shape)[static_cast<size_t>(dimension)];
  if (extent != -1) {
    return Invalid(place, "dimension is " + std::to_string(dimension) + ", but there " + declared +
                              "with the fixed extent " + std::to_string(extent));
  }
  return {};
}

Result<std::string> CheckValue(const TensorSpec& spec, const std::string& value,
                               const std::string& place) {
  const std::optional<DLDataType> type = DataTypeNamed(spec.datatype);
  if (!type.has_value()) {
    return Invalid(
        place, "'" + spec.name + "' is declared without a datatype; it must have one to be padded");
  }
  Result<std::string> element = PaddingElement(value, *type);
  return element.ok() ? element : Invalid(place, "value " + element.status().message());
}

Status CheckLengths(const PaddingSettings& settings, const Manifest& manifest,
                    const std::string& lengths, const std::string& place) {
  const Result<TensorSpec> spec = Find(manifest.inputs, lengths, place + ".lengths", "input");
  if (!spec.ok()) {
    return spec.status();
  }
  if (settings.inputs.contains(lengths)) {
    return Invalid(place + ".lengths", "'" + lengths + "' is padded itself");
  }
  if (spec->datatype != "INT64" || spec->shape != std::vector<int64_t>{-1}) {
    return Invalid(place + ".lengths",
                   "'" + lengths + "' must be declared as INT64 of shape [-1] to hold lengths");
  }
  const auto users =
      std::count_if(settings.inputs.begin(), settings.inputs.end(),
                    [&](const auto& input) { return input.second.lengths == lengths; });
  return users == 1 ? Status()
                    : Invalid(place + ".lengths", "'" + lengths + "' is to hold those of " +
                                                      std::to_string(users) + " inputs");
}

Result<PaddedInput> CheckInput(const PaddingSettings& settings, const Manifest& manifest,
                               const std::string& name, const std::string& place) {
  const PaddingSettings::Input& wanted = settings.inputs.at(name);
  const Result<TensorSpec> spec = Find(manifest.inputs, name, place, "input");
  Status status = spec.status();
  if (status.ok()) {
    status = CheckDimension(*spec, wanted.dimension, place);
  }
  if (status.ok() && !wanted.lengths.empty()) {
    status = CheckLengths(settings, manifest, wanted.lengths, place);
  }
  if (!status.ok()) {
    return status;
  }
  Result<std::string> element = CheckValue(*spec, wanted.value, place);
  if (!element.ok()) {
    return element.status();
  }
  return PaddedInput{wanted.dimension, *std::move(element), wanted.lengths};
}

Status CheckOutput(const PaddingSettings& settings, const Manifest& manifest,
                   const std::string& name, const std::string& place) {
  const TrimmedOutput& wanted = settings.outputs.at(name);
  const Result<TensorSpec> spec = Find(manifest.outputs, name, place, "output");
  if (!spec.ok()) {
    return spec.status();
  }
  if (!settings.inputs.contains(wanted.as)) {
    return Invalid(place, "as is '" + wanted.as + "', which is no input of batching.padding");
  }
  return CheckDimension(*spec, wanted.dimension, place);
}

}  // namespace

Result<Padding> CheckPadding(const PaddingSettings& settings,
                             const std::optional<Manifest>& manifest) {
  Padding padding;
  if (settings.inputs.empty() && settings.outputs.empty()) {
    return padding;
  }
  if (!manifest.has_value()) {
    return Invalid("batching.padding", "the archive has no manifest that names its inputs");
  }
  for (const auto& [name, wanted] : settings.inputs) {
    Result<PaddedInput> input = CheckInput(settings, *manifest, name, "batching.padding." + name);
    if (!input.ok()) {
      return input.status();
    }
    padding.inputs.emplace(name, *std::move(input));
  }
  for (const auto& [name, wanted] : settings.outputs) {
    const Status status = CheckOutput(settings, *manifest, name, "batching.trimming." + name);
    if (!status.ok()) {
      return status;
    }
    padding.outputs.emplace(name, wanted);
  }
  return padding;
}

void HideLengths(const Padding& padding, std::optional<Manifest>& manifest) {
  if (!manifest.has_value()) {
    return;
  }
  std::erase_if(manifest->inputs, [&](const TensorSpec& spec) {
    return std::any_of(padding.inputs.begin(), padding.inputs.end(),
                       [&](const auto& input) { return input.second.lengths == spec.name; });
  });
}

}  // namespace torchdeploy::server
