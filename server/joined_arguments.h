// The arguments of several requests as those of one call, and its result as theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/arguments.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// What a request brings to a batch along dimension 0.
struct Rows {
  int64_t count = 0;
  // Requests can be joined when theirs are equal: names, datatypes and the other extents.
  std::string kind;
};

// Nothing for arguments that have no rows, or not all the same number of them, at least 1. Lists
// are BYTES, and have a row for each element.
std::optional<Rows> RowsOf(const Arguments& arguments);

// Each argument's rows one below the other, in new tensors. kResourceExhausted when there is no
// memory for them. REQUIRES: two requests at least, whose rows are of one kind.
Result<Arguments> JoinArguments(std::span<const Arguments* const> requests);

// For each request its rows of every tensor and of every list of text in `result`, which share
// its memory. kInternal, naming what was found, for a part that has not as many rows as there are
// `rows` in all.
Result<std::vector<Value>> SplitResult(const Value& result, std::span<const int64_t> rows);

}  // namespace torchdeploy::server
