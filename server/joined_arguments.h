// The arguments of several requests as those of one call, and its result as theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/arguments.h"
#include "server/padding.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// What a request brings to a batch along dimension 0.
struct Rows {
  int64_t count = 0;
  // Requests can be joined when theirs are equal: names, datatypes and the other extents, but for
  // those that are padded; of these, which are equal to each other.
  std::string kind;
};

// Nothing for arguments that have no rows, or not all the same number of them, at least 1. Lists
// are BYTES, and have a row for each element.
std::optional<Rows> RowsOf(const Arguments& arguments, const Padding& padding = {});

// Each argument's rows one below the other, in new tensors; those that are padded as long as the
// longest. kResourceExhausted when there is no memory for them, or one would take more than 2 GiB
// by its padding. REQUIRES: two requests at least, whose rows are of one kind.
Result<Arguments> JoinArguments(std::span<const Arguments* const> requests,
                                const Padding& padding = {});

// For each request its rows of every tensor and of every list of text in `result`, which share
// its memory. kInternal, naming what was found, for a part that has not as many rows as there are
// `rows` in all.
Result<std::vector<Value>> SplitResult(const Value& result, std::span<const int64_t> rows);

}  // namespace torchdeploy::server
