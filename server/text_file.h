// The text of a file.
#pragma once

#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// kPermissionDenied, naming the file, when it cannot be read.
Result<std::string> ReadTextFile(const std::string& file);

}  // namespace torchdeploy::server
