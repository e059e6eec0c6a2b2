// The table of contents of a zip file that nobody is trusted to have written well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy {

// A view of the archive's bytes.
struct ZipRecord {
  std::string_view name;
  std::span<const std::byte> stored;  // Its bytes in the archive.
  uint64_t size_bytes;                // Once they are inflated.
  uint32_t crc;                       // Of the inflated bytes.
  bool is_deflated;
};

// Reads and checks the directory; not the bytes of the records. What it says is true of the
// file: the records lie one behind the other from the first byte to the directory, and the
// directory and each record's own header agree. So whoever reads the file in another way finds
// the same. `path` is what messages call it.
//
// kDataLoss: no zip file, cut short, damaged, or a record that is there twice, is encrypted
// or is neither stored nor deflated. kResourceExhausted: over 262144 records.
Result<std::vector<ZipRecord>> ReadZipDirectory(std::span<const std::byte> archive,
                                                const std::string& path);

}  // namespace torchdeploy
