// What padded tensors are filled with.
#pragma once

#include <string>

#include <dlpack/dlpack.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// One element of `type`, as a tensor has it in memory, from a number as YAML writes it; for BOOL
// also true and false. Floats are rounded to the nearest. kInvalidArgument, naming the text and
// what is expected, when it is no such number, or too great. REQUIRES: `type` has a name in the
// protocol.
Result<std::string> PaddingElement(const std::string& text, DLDataType type);

}  // namespace torchdeploy::server
