// The datatypes of the Open Inference Protocol.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <dlpack/dlpack.h>

namespace torchdeploy::server {

// BYTES is the one that is no tensor: its elements have lengths of their own.
inline constexpr std::string_view kBytes = "BYTES";

// The element type for a name such as "FP32"; nothing for BYTES and for unknown names.
std::optional<DLDataType> DataTypeNamed(std::string_view name);

// The name for an element type; nothing when the protocol has none (complex, FP8).
std::optional<std::string_view> NameOf(DLDataType type);

// All names, comma-separated, for messages.
std::string DatatypeNames();

// "complex64" for a DLPack type without a name in the protocol, for messages.
std::string Describe(DLDataType type);

}  // namespace torchdeploy::server
