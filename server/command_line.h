// What the user asks of the server.
#pragma once

#include <chrono>
#include <optional>

#include "server/log.h"
#include "server/server.h"

namespace torchdeploy::server {

struct CommandLine {
  ServerOptions server;
  LogFormat log_format = LogFormat::kText;
  // What requests have to end when the server is asked to.
  std::chrono::milliseconds drain_grace = std::chrono::seconds(30);
};

// Nothing when there is nothing to serve: --help, --version, or a mistake, which is then on
// standard error. `exit_code` is what the process shall end with in that case: 0 or 2.
std::optional<CommandLine> ParseCommandLine(int argc, const char* const* argv, int* exit_code);

}  // namespace torchdeploy::server
