// Whether a file is still the one that it was.
#pragma once

#include <cstdint>
#include <string>

namespace torchdeploy::server {

// Of the file's content as far as the file system tells: another one was written, or put in its
// place, if two differ. All zeros for a file that is not there.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t bytes = 0;
  int64_t modified_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

FileStamp StampOf(const std::string& path);

}  // namespace torchdeploy::server
