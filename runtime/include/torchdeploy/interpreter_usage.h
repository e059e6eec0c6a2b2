// What an interpreter costs.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace torchdeploy {

// Waits are counted apart by the first of these that they do not exceed.
inline constexpr std::array<std::chrono::nanoseconds, 7> kLockWaitBounds = {
    std::chrono::microseconds(1), std::chrono::microseconds(10), std::chrono::microseconds(100),
    std::chrono::milliseconds(1), std::chrono::milliseconds(10), std::chrono::milliseconds(100),
    std::chrono::seconds(1)};

struct LockWaits {
  std::chrono::nanoseconds total{0};
  std::array<uint64_t, kLockWaitBounds.size() + 1> by_bound = {};  // The last: longer ones.
};

// So far.
struct InterpreterUsage {
  // For how long it was held by calls and sessions, those that run included. When it took the place
  // of one that hung, also that one's.
  std::chrono::nanoseconds busy{0};
  // Of these, each time they entered the interpreter, for Python's lock (the GIL). It is the
  // interpreter's own: only threads that models have started hold it against them.
  LockWaits lock_waits;
  // Held by Python's allocators: objects and code. No tensors, and nothing that extensions take
  // from the system by themselves.
  uint64_t python_bytes = 0;
};

}  // namespace torchdeploy
