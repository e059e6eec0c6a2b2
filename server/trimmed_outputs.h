// Outputs that are padded because an input was, each cut back to its own.
#pragma once

#include <span>

#include "server/arguments.h"
#include "server/padding.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// `results[i]` is what `requests[i]`, joined with the others, got; its outputs that `padding` names
// become as long as its own input. What a result does not have, or has as None, stays so.
// kInternal, naming the output and what was found, for one that is no tensor as long as the longest
// of the input. REQUIRES: requests that JoinArguments() took, and what SplitResult() gave.
Status TrimOutputs(const Padding& padding, std::span<const Arguments* const> requests,
                   std::span<Value> results);

}  // namespace torchdeploy::server
