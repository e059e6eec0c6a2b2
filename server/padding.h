// How requests whose inputs differ in one extent go into one call.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "server/arguments.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {

// An input that may have another extent in one dimension in each request of a batch.
struct PaddedInput {
  int64_t dimension = 1;  // At least 1.
  std::string element;    // One element as a tensor has it in memory: what the rest is filled with.
  std::string lengths;    // The input that holds each row's own extent; empty for none.
};

// An output that is as long as the longest of a padded input, and is cut to each request's own.
struct TrimmedOutput {
  int64_t dimension = 1;  // At least 1.
  std::string as;         // The padded input.
};

// By the names of keyword arguments, and of the outputs in the dict that a model returns.
struct Padding {
  std::map<std::string, PaddedInput> inputs;
  std::map<std::string, TrimmedOutput> outputs;
};

// Null when the argument is not to be padded. Else it is a row-major tensor that has the dimension,
// and elements of the right size.
const PaddedInput* FindPadding(const Padding& padding, const std::string& name, const Value& value);

// Of an argument that is to be padded so.
int64_t OwnExtent(const PaddedInput& padded, const Value& value);

// Adds the arguments that hold lengths: INT64 [rows], each the request's own extent.
// kResourceExhausted when there is no memory for them.
Status AddLengths(const Padding& padding, Arguments& arguments);

}  // namespace torchdeploy::server
