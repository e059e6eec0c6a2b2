#include "interpreter_lib/native/archive_bytes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <ATen/core/Tensor.h>

#include <sys/mman.h>

namespace torchdeploy::native {

ArchiveBytes::ArchiveBytes(at::Tensor bytes) : bytes_(std::move(bytes)) {}

size_t ArchiveBytes::size() const {
  return bytes_.nbytes();
}

size_t ArchiveBytes::read(uint64_t pos, void* buf, size_t n, const char* /*what*/) const {
  const size_t count = pos < size() ? std::min<size_t>(n, size() - pos) : 0;
  std::memcpy(buf, static_cast<const char*>(bytes_.const_data_ptr()) + pos, count);
  return count;
}

void ForgetPages(const at::Tensor& bytes) {
  // Advice: where it cannot be taken, the pages stay.
  madvise(bytes.data_ptr(), bytes.nbytes(), MADV_DONTNEED);
}

}  // namespace torchdeploy::native
