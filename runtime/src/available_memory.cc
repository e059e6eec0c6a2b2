#include "runtime/src/available_memory.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace torchdeploy {

namespace {

using std::filesystem::path;

// The number behind the word `key`, or nothing.
std::optional<uint64_t> NumberOf(const path& file, std::string_view key) {
  std::ifstream text(file);
  std::string word;
  while (text >> word) {
    if (word == key) {
      uint64_t number = 0;
      return text >> number ? std::optional(number) : std::nullopt;
    }
  }
  return std::nullopt;
}

// The number that the file consists of; nothing when it is "max".
std::optional<uint64_t> OnlyNumberOf(const path& file) {
  std::ifstream text(file);
  uint64_t number = 0;
  return text >> number ? std::optional(number) : std::nullopt;
}

uint64_t LeftBy(const path& group) {
  const std::optional<uint64_t> most = OnlyNumberOf(group / "memory.max");
  const std::optional<uint64_t> used = OnlyNumberOf(group / "memory.current");
  if (!most.has_value() || !used.has_value()) {
    return std::numeric_limits<uint64_t>::max();
  }
  // Pages of files are given back when memory is short.
  const uint64_t of_files = NumberOf(group / "memory.stat", "inactive_file").value_or(0);
  const uint64_t bound = *used - std::min(*used, of_files);
  return *most - std::min(*most, bound);
}

// The name of this process's group, as "/a/b"; "/" when there is none.
path GroupOfProcess(const path& proc) {
  std::ifstream text(proc / "self/cgroup");
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("0::/")) {
      return line.substr(3);
    }
  }
  return "/";
}

}  // namespace

uint64_t AvailableMemoryBytes(const path& proc, const path& control_groups) {
  uint64_t left = std::numeric_limits<uint64_t>::max();
  if (const auto kib = NumberOf(proc / "meminfo", "MemAvailable:"); kib.has_value()) {
    left = *kib << 10U;
  }
  path group = GroupOfProcess(proc).relative_path();
  for (; !group.empty(); group = group.parent_path()) {
    left = std::min(left, LeftBy(control_groups / group));
  }
  return std::min(left, LeftBy(control_groups));
}

}  // namespace torchdeploy
