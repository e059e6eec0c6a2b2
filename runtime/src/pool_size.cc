#include "runtime/src/pool_size.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "runtime/src/core_pinning.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr int kMost = 1024;

Status CheckRange(const char* name, int value) {
  if (value >= 0 && value <= kMost) {
    return {};
  }
  return {Code::kInvalidArgument, std::string("Options.") + name + " is " + std::to_string(value) +
                                      "; expected 0 to " + std::to_string(kMost) + "."};
}

}  // namespace

Result<PoolSize> ResolvePoolSize(const Options& options) {
  Status status = CheckRange("interpreters", options.interpreters);
  if (status.ok()) {
    status = CheckRange("intra_op_threads", options.intra_op_threads);
  }
  if (!status.ok()) {
    return status;
  }
  const auto cores = static_cast<int>(UsableCores().size());
  const int interpreters = options.interpreters == 0 ? cores : options.interpreters;
  const int threads =
      options.intra_op_threads == 0 ? std::max(1, cores / interpreters) : options.intra_op_threads;
  return PoolSize{static_cast<size_t>(interpreters), threads};
}

Status CheckInterpreters(size_t interpreters) {
  if (interpreters >= 1 && interpreters <= kMost) {
    return {};
  }
  return {Code::kInvalidArgument, "The number of interpreters is " + std::to_string(interpreters) +
                                      "; expected 1 to " + std::to_string(kMost) + "."};
}

}  // namespace torchdeploy
