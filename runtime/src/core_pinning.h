// Keeping a thread on some of the cores.
#pragma once

#include <cstddef>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy {

// Cores that this process may use, in ascending order; never empty.
[[nodiscard]] std::vector<int> UsableCores();

// The share of the interpreter at `slot`: as many cores as it has threads, in turn from
// UsableCores(), which are shared again once all are taken.
[[nodiscard]] std::vector<int> CoresOfSlot(size_t slot, int threads);

// This thread, and those that it starts from now on, run on `cores` only.
Status PinThisThread(const std::vector<int>& cores);

}  // namespace torchdeploy
