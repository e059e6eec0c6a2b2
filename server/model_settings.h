// What the user asks for one model: its config.yaml.
#pragma once

#include <string>

#include "server/request_queue.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

struct ModelSettings {
  QueueSettings queue = {};
};

// Replaces in `settings` what the file says. kInvalidArgument, naming file, key and value, for what
// is no YAML, for an unknown key, with the nearest known one, and for a value that is not allowed;
// kPermissionDenied when it cannot be read.
//
// Source: docs/configuration.md.
Status ReadModelSettings(const std::string& file, ModelSettings* settings);

}  // namespace torchdeploy::server
