// What the user asks of the server.
#pragma once

#include <optional>

#include "server/server.h"

namespace torchdeploy::server {

// Nothing when there is nothing to serve: --help, --version, or a mistake, which is then on
// standard error. `exit_code` is what the process shall end with in that case: 0 or 2.
std::optional<ServerOptions> ParseCommandLine(int argc, const char* const* argv, int* exit_code);

}  // namespace torchdeploy::server
