// Which file, in which state, a path means.
#pragma once

#include <cstdint>
#include <string>

#include "torchdeploy/status.h"

#include <sys/types.h>

namespace torchdeploy {

// Two equal identities mean the same bytes, unless somebody sets the clock back by hand.
struct FileIdentity {
  std::string path;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t mtime_ns = 0;

  bool operator==(const FileIdentity&) const = default;
  // One line, for keys and seals.
  [[nodiscard]] std::string ToString() const;
};

// kNotFound or kPermissionDenied, naming the path.
Result<FileIdentity> IdentifyFile(const std::string& path);
// The identity of an open file; `path` is the name it was opened by.
Result<FileIdentity> IdentifyOpenFile(int fd, const std::string& path);

// 16 hexadecimal digits of a 64-bit FNV-1a hash: names of cache entries, no secrets.
std::string ShortHash(const std::string& text);

// A Status for a failed system call on `path`, with errno's meaning: "cannot open /x: ...".
Status SystemError(const std::string& action, const std::string& path, int error_number);

}  // namespace torchdeploy
