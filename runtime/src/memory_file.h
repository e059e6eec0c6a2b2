// A file of this process's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Written once, from its start to its end; then it can be mapped, and nobody can change it.
class MemoryFile {
 public:
  // `path` is the archive that messages speak of. kResourceExhausted: less than `size_bytes`
  // of memory can be taken, with a tenth to spare.
  static Result<MemoryFile> Create(uint64_t size_bytes, const std::string& path);

  Status Append(std::span<const std::byte> bytes);
  // As many bytes of `file`, from its start on.
  Status AppendFile(const OwnedFd& file, size_t size_bytes);

  [[nodiscard]] uint64_t size_bytes() const { return size_bytes_; }

  // The file, which can be read only from now on. REQUIRES: nothing is appended any more.
  OwnedFd Seal() &&;

 private:
  MemoryFile(OwnedFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  OwnedFd file_;
  std::string path_;
  uint64_t size_bytes_ = 0;
};

}  // namespace torchdeploy
