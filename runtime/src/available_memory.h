// How much memory may still be taken.
#pragma once

#include <cstdint>
#include <filesystem>

namespace torchdeploy {

// Bytes that this process can take without another's being swapped out: the kernel's estimate,
// or what the control groups (version 2) around this process leave, if that is less. All there
// is where the kernel tells nothing.
//
// Source: proc(5), MemAvailable; the kernel's admin-guide/cgroup-v2.rst, "Memory".
uint64_t AvailableMemoryBytes(const std::filesystem::path& proc = "/proc",
                              const std::filesystem::path& control_groups = "/sys/fs/cgroup");

}  // namespace torchdeploy
