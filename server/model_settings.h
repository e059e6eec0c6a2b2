// What the user asks for one model: its config.yaml.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/padding_settings.h"
#include "server/request_queue.h"
#include "server/version_policy.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

struct ModelSettings {
  QueueSettings queue = {};
  PaddingSettings padding = {};  // What of it is possible is known with the model's manifest.
  VersionPolicy versions = {};
  // Of the archive's example in each interpreter, before the model is served.
  int64_t warmup_calls = 1;
  int64_t interpreters = 0;               // For itself; 0: it shares those of the server.
  int64_t intra_op_threads = 0;           // Of interpreters for itself; 0: cores / interpreters.
  std::vector<std::string> devices = {};  // Of the replicas, in turn; none: as the model says.
  bool inference_mode = false;
  bool optimized_execution = true;         // Of TorchScript.
  std::string traceparent = {};            // The input that gets it; empty: none.
  std::optional<Dict> torch_compile = {};  // Its arguments, by name.
};

// Replaces in `settings` what the text says, in YAML or JSON. kInvalidArgument, naming `place`, key
// and value, for what is no YAML, for an unknown key, with the nearest known one, and for a value
// that is not allowed.
//
// Source: docs/configuration.md, docs/config.schema.json.
Status ParseModelSettings(const std::string& text, const std::string& place,
                          ModelSettings* settings);

}  // namespace torchdeploy::server
