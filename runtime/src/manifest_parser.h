// The manifest's JSON.
#pragma once

#include <string_view>

#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Checks all rules of docs/manifest.md. kInvalidArgument names the key, its value and what
// was expected. Unknown keys are ignored.
Result<Manifest> ParseManifest(std::string_view json);

}  // namespace torchdeploy
