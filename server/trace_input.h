// The input in which a model gets the place of its request in a trace.
#pragma once

#include <optional>
#include <string>

#include "server/arguments.h"
#include "server/trace_context.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

struct TraceInput {
  std::string name = {};  // Empty: the model has none.
  bool has_rows = false;  // An element for each row of the other inputs; else one.
};

// kInvalidArgument, naming the key, for an input that the manifest does not have, or that is not
// BYTES, or has more than one dimension.
Result<TraceInput> CheckTraceInput(const std::string& name,
                                   const std::optional<Manifest>& manifest);

// Takes it out of those that clients are to send.
void HideTraceInput(const TraceInput& input, std::optional<Manifest>& manifest);

// Adds the `traceparent`, empty text when there is none. Nothing for a model without the input.
void AddTraceInput(const TraceInput& input, const std::optional<TraceContext>& context,
                   Arguments& arguments);

}  // namespace torchdeploy::server
