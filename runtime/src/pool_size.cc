#include "runtime/src/pool_size.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

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

int UsableCores() {
  // A machine with more cores than one cpu_set_t has room for answers EINVAL.
  for (size_t sets = 1; sets <= 64; sets *= 2) {
    std::vector<cpu_set_t> affinity(sets);
    const size_t size_bytes = sets * sizeof(cpu_set_t);
    if (sched_getaffinity(0, size_bytes, affinity.data()) == 0) {
      return std::max(1, CPU_COUNT_S(size_bytes, affinity.data()));
    }
    if (errno != EINVAL) {
      break;
    }
  }
  return 1;
}

Result<PoolSize> ResolvePoolSize(const Options& options) {
  Status status = CheckRange("interpreters", options.interpreters);
  if (status.ok()) {
    status = CheckRange("intra_op_threads", options.intra_op_threads);
  }
  if (!status.ok()) {
    return status;
  }
  const int cores = UsableCores();
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
