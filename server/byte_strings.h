// BYTES tensors: a 4-byte little-endian length before each element on the wire, nested lists
// of bytes for the model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// The elements of raw contents. kInvalidArgument when a length runs past the end.
Result<std::vector<std::string>> SplitByteStrings(std::string_view raw);

// A Bytes for shape [], else a List nested once for each further dimension.
// REQUIRES: elements.size() is the product of `shape`.
Value NestByteStrings(std::vector<std::string> elements, const std::vector<int64_t>& shape);

// Whether the value is text, bytes, or a non-empty list, nested to any depth, of these.
bool IsByteStrings(const Value& value);

// Appends the raw contents to `raw` and the extents to `shape`. kInvalidArgument for lists of
// unequal length, which no shape describes. REQUIRES: IsByteStrings(value).
Status JoinByteStrings(const Value& value, std::vector<int64_t>& shape, std::string& raw);

}  // namespace torchdeploy::server
