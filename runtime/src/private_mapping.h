// A file's bytes in memory, with changes that stay here.
#pragma once

#include <cstddef>
#include <memory>

#include "torchdeploy/status.h"

namespace torchdeploy {

// Pages that nobody writes to are the page cache's, one copy for all mappings of a file; a
// page that is written to becomes this mapping's own. The address is constant.
class PrivateMapping {
 public:
  // REQUIRES: the file behind `fd` has at least `size_bytes`, which are not 0. `fd` may be
  // closed afterwards.
  static Result<std::unique_ptr<PrivateMapping>> Create(int fd, size_t size_bytes);

  PrivateMapping(const PrivateMapping&) = delete;
  PrivateMapping& operator=(const PrivateMapping&) = delete;
  ~PrivateMapping();

  [[nodiscard]] std::byte* data() const { return data_; }

  // Lets go of the file for another of equal contents; what was written here stays. Others
  // may read meanwhile. REQUIRES: nobody writes meanwhile.
  Status MoveTo(int fd);

 private:
  PrivateMapping(std::byte* data, size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}

  std::byte* const data_;
  const size_t size_bytes_;
};

}  // namespace torchdeploy
