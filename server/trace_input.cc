#include "server/trace_input.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>

#include "server/arguments.h"
#include "server/datatype.h"
#include "server/joined_arguments.h"
#include "server/name_list.h"
#include "server/trace_context.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

namespace {

Status Refuse(const std::string& what) {
  return {Code::kInvalidArgument, "traceparent: " + what};
}

}  // namespace

Result<TraceInput> CheckTraceInput(const std::string& name,
                                   const std::optional<Manifest>& manifest) {
  if (name.empty()) {
    return TraceInput();
  }
  if (!manifest) {
    return Refuse("the archive has no manifest that names its inputs");
  }
  const auto spec = std::find_if(manifest->inputs.begin(), manifest->inputs.end(),
                                 [&](const TensorSpec& each) { return each.name == name; });
  if (spec == manifest->inputs.end()) {
    return Refuse("the model has no input '" + name +
                  "'; it takes: " + JoinNames(manifest->inputs, &TensorSpec::name));
  }
  if (spec->datatype != kBytes || (spec->shape && spec->shape->size() > 1)) {
    return Refuse("input '" + name + "' is " + spec->datatype +
                  "; text, or a list of text, is expected");
  }
  return TraceInput{name, manifest->batch_dimension == 0};
}

void HideTraceInput(const TraceInput& input, std::optional<Manifest>& manifest) {
  if (manifest) {
    std::erase_if(manifest->inputs,
                  [&](const TensorSpec& spec) { return spec.name == input.name; });
  }
}

void AddTraceInput(const TraceInput& input, const std::optional<TraceContext>& context,
                   Arguments& arguments) {
  if (input.name.empty()) {
    return;
  }
  const std::optional<Rows> rows = input.has_rows ? RowsOf(arguments) : std::nullopt;
  const Value text(Bytes{context ? TraceParent(*context) : ""});
  arguments.keywords.emplace_back(input.name,
                                  List(rows ? static_cast<size_t>(rows->count) : 1, text));
}

}  // namespace torchdeploy::server
