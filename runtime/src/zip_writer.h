// Writes a zip file whose records can be used where they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/src/memory_file.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// All records are stored as they are, each at a multiple of kAlignmentBytes, as torch writes
// them. Sizes are written in 64 bits.
class ZipWriter {
 public:
  static constexpr size_t kAlignmentBytes = 64;
  // The most that is written besides the bytes of a record and twice its name; and at the end.
  static constexpr uint64_t kMostBytesOfRecord = 256;
  static constexpr uint64_t kBytesAtEnd = 98;

  // `file` must live longer, and be empty.
  explicit ZipWriter(MemoryFile& file) : file_(file) {}

  // The record's bytes are to be appended to the file next.
  Status BeginRecord(std::string_view name, uint64_t size_bytes, uint32_t crc);
  Status Finish();

 private:
  Status Append(const std::string& text);

  MemoryFile& file_;
  std::string directory_;
  uint64_t count_ = 0;
};

}  // namespace torchdeploy
