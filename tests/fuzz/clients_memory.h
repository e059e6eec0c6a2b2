// The one region of shared memory that a client has registered.
#pragma once

#include <string>

#include "server/shared_memory_regions.h"

namespace torchdeploy::fuzz {

// 256 bytes, registered as "region". Others do not see the memory.
class ClientsMemory {
 public:
  ClientsMemory();

  [[nodiscard]] const server::SharedMemoryRegions& regions() const { return regions_; }
  // What it holds now.
  [[nodiscard]] std::string Contents() const;
  // Zeros and ones, which are elements of every datatype.
  void Fill() const;

 private:
  server::SharedMemoryRegions regions_;
};

}  // namespace torchdeploy::fuzz
