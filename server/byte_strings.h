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

// The `count` elements of raw contents. kInvalidArgument when there are fewer or more, or when
// a length runs past the end; not more than `count` are ever split off.
Result<std::vector<std::string>> SplitByteStrings(std::string_view raw, int64_t count);

// A Bytes for shape [], else a List nested once for each further dimension.
// REQUIRES: elements.size() is the product of `shape`.
Value NestByteStrings(std::vector<std::string> elements, const std::vector<int64_t>& shape);

// Whether the value is text, bytes, or a non-empty list, nested to any depth, of these.
bool IsByteStrings(const Value& value);

// Appends the raw contents to `raw` and the extents to `shape`; of lists without elements, as
// far as they go: [2, 0] for [[], []]. kInvalidArgument for lists of unequal length, which no
// shape describes, and for what is no text. REQUIRES: `value` is text, bytes or a List.
Status JoinByteStrings(const Value& value, std::vector<int64_t>& shape, std::string& raw);

}  // namespace torchdeploy::server
