#include "runtime/src/core_pinning.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

// A machine with more cores than one cpu_set_t has room for answers EINVAL.
constexpr size_t kMostSets = 64;

std::vector<int> CoresIn(const std::vector<cpu_set_t>& affinity) {
  const size_t size_bytes = affinity.size() * sizeof(cpu_set_t);
  std::vector<int> cores;
  for (size_t core = 0; core < affinity.size() * CPU_SETSIZE; ++core) {
    if (CPU_ISSET_S(core, size_bytes, affinity.data())) {
      cores.push_back(static_cast<int>(core));
    }
  }
  return cores;
}

}  // namespace

std::vector<int> UsableCores() {
  for (size_t sets = 1; sets <= kMostSets; sets *= 2) {
    std::vector<cpu_set_t> affinity(sets);
    if (sched_getaffinity(0, sets * sizeof(cpu_set_t), affinity.data()) == 0) {
      return CoresIn(affinity);
    }
    if (errno != EINVAL) {
      break;
    }
  }
  return {0};
}

std::vector<int> CoresOfSlot(size_t slot, int threads) {
  const std::vector<int> usable = UsableCores();
  const auto count = std::min(static_cast<size_t>(threads), usable.size());
  std::vector<int> cores;
  cores.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    cores.push_back(usable[(slot * count + i) % usable.size()]);
  }
  return cores;
}

Status PinThisThread(const std::vector<int>& cores) {
  const auto highest = static_cast<size_t>(*std::max_element(cores.begin(), cores.end()));
  std::vector<cpu_set_t> affinity(highest / CPU_SETSIZE + 1);
  const size_t size_bytes = affinity.size() * sizeof(cpu_set_t);
  for (const int core : cores) {
    CPU_SET_S(static_cast<size_t>(core), size_bytes, affinity.data());
  }
  if (sched_setaffinity(0, size_bytes, affinity.data()) != 0) {
    return {Code::kFailedPrecondition, "An interpreter's thread cannot be pinned to core " +
                                           std::to_string(cores.front()) + ": " +
                                           std::generic_category().message(errno) + "."};
  }
  return {};
}

}  // namespace torchdeploy
