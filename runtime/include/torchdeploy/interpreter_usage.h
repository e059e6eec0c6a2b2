// What an interpreter costs.
#pragma once

#include <chrono>
#include <cstdint>

namespace torchdeploy {

// So far.
struct InterpreterUsage {
  // For how long it was held by calls and sessions, those that run included. When it took the place
  // of one that hung, also that one's.
  std::chrono::nanoseconds busy{0};
  // For how long these waited for Python's lock (the GIL). It is the interpreter's own: only
  // threads that models have started hold it against them.
  std::chrono::nanoseconds lock_wait{0};
  // Held by Python's allocators: objects and code. No tensors, and nothing that extensions take
  // from the system by themselves.
  uint64_t python_bytes = 0;
};

}  // namespace torchdeploy
