// What the kernel says of this process.
#pragma once

#include <cstddef>
#include <optional>

namespace torchdeploy::server {

struct ProcessFigures {
  double cpu_seconds = 0;     // Of all threads.
  double start_seconds = 0;   // Since 1970.
  size_t resident_bytes = 0;  // Memory, what it shares with others included.
  size_t virtual_bytes = 0;
  size_t open_files = 0;
  size_t most_open_files = 0;
  size_t threads = 0;
};

// Nothing when /proc cannot be read.
std::optional<ProcessFigures> ReadProcessFigures();

}  // namespace torchdeploy::server
