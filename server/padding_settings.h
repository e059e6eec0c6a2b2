// Padding as config.yaml asks for it, and whether a model can have it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "server/padding.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// By name.
struct PaddingSettings {
  struct Input {
    int64_t dimension = 0;
    std::string value = "0";  // As YAML has it; what it may be depends on the datatype.
    std::string lengths = {};
  };

  std::map<std::string, Input> inputs;
  std::map<std::string, TrimmedOutput> outputs;
};

// The padding of a model that declares its inputs and outputs so. kInvalidArgument, naming the key
// and what is expected: no manifest; an unknown name, with the nearest; a dimension that is not
// there, or fixed; a value that does not fit the datatype; BYTES; lengths that are not INT64 [-1],
// are padded themselves, or get those of two inputs; an output cut as an input that is not padded.
Result<Padding> CheckPadding(const PaddingSettings& settings,
                             const std::optional<Manifest>& manifest);

// Takes the inputs that the server fills out of those that clients are to send.
void HideLengths(const Padding& padding, std::optional<Manifest>& manifest);

}  // namespace torchdeploy::server
