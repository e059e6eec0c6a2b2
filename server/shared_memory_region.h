// Memory that a client on this machine shares with the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// A part of what shm_open() calls `key`.
struct RegionPlace {
  std::string key;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

// Read and written by copying, never mapped: a client that shortens it, or that writes to it while
// a model reads, does not harm this process. Thread-safe.
class SharedMemoryRegion {
 public:
  // kNotFound: no such memory; kPermissionDenied; kInvalidArgument: a bad key, or it ends before
  // the place does.
  static Result<std::shared_ptr<const SharedMemoryRegion>> Open(const RegionPlace& place);

  // What it owns is closed.
  SharedMemoryRegion(int file, RegionPlace place);
  SharedMemoryRegion(const SharedMemoryRegion&) = delete;
  SharedMemoryRegion& operator=(const SharedMemoryRegion&) = delete;
  ~SharedMemoryRegion();

  [[nodiscard]] const RegionPlace& place() const { return place_; }

  // `offset`: in the region. kInvalidArgument when the client has shortened the memory since;
  // kResourceExhausted when the system has no more. REQUIRES: within the region.
  Status Read(uint64_t offset, std::span<std::byte> to) const;
  Status Write(uint64_t offset, std::span<const std::byte> from) const;

 private:
  const int file_;
  const RegionPlace place_;
};

}  // namespace torchdeploy::server
