// How many interpreters, and threads in each, Options ask for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

struct PoolSize {
  size_t interpreters = 1;
  int32_t intra_op_threads = 1;
};

// Replaces each 0 by what it stands for. kInvalidArgument for a number that is negative or
// over 1024.
Result<PoolSize> ResolvePoolSize(const Options& options);

// kInvalidArgument for a number that is not 1 to 1024.
Status CheckInterpreters(size_t interpreters);

}  // namespace torchdeploy
