#include "runtime/src/private_mapping.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>

#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

#include <sys/mman.h>
#include <sys/types.h>

namespace torchdeploy {

namespace {

constexpr size_t kPageBytes = 4096;  // On x86-64, which docs/isolation.md asks for.

// One page in /proc/self/pagemap. Source: the kernel's admin-guide/mm/pagemap.rst.
constexpr uint64_t kInMemory = uint64_t{1} << 63U;
constexpr uint64_t kSwapped = uint64_t{1} << 62U;
constexpr uint64_t kOfFile = uint64_t{1} << 61U;

bool WasWritten(uint64_t page) {
  return (page & (kInMemory | kSwapped)) != 0 && (page & kOfFile) == 0;
}

Result<std::byte*> Map(int fd, size_t size_bytes) {
  void* const address =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  if (address == MAP_FAILED) {
    return Status(Code::kResourceExhausted, std::to_string(size_bytes) +
                                                " bytes of a file cannot be mapped: " +
                                                std::generic_category().message(errno) + ".");
  }
  return static_cast<std::byte*>(address);
}

// Which pages of a mapping were written to; all of them where the kernel does not tell.
class WrittenPages {
 public:
  explicit WrittenPages(const std::byte* mapping)
      : first_(reinterpret_cast<uintptr_t>(mapping) / kPageBytes),
        pagemap_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}

  // REQUIRES: asked in ascending order.
  bool Has(size_t page) {
    if (page >= begin_ + known_) {
      begin_ = page;
      const auto at = static_cast<off_t>((first_ + page) * sizeof(uint64_t));
      const ssize_t bytes = pread(pagemap_.get(), pages_.data(), sizeof pages_, at);
      known_ = bytes > 0 ? static_cast<size_t>(bytes) / sizeof(uint64_t) : 0;
    }
    return known_ == 0 || WasWritten(pages_.at(page - begin_));
  }

 private:
  const size_t first_;
  const OwnedFd pagemap_;
  std::array<uint64_t, 4096> pages_{};
  size_t begin_ = 0;
  size_t known_ = 0;
};

void CopyWrittenPages(const std::byte* from, std::byte* to, size_t size_bytes) {
  WrittenPages written(from);
  for (size_t offset = 0; offset < size_bytes; offset += kPageBytes) {
    if (written.Has(offset / kPageBytes)) {
      std::memcpy(to + offset, from + offset, std::min(kPageBytes, size_bytes - offset));
    }
  }
}

}  // namespace

Result<std::unique_ptr<PrivateMapping>> PrivateMapping::Create(int fd, size_t size_bytes) {
  const Result<std::byte*> data = Map(fd, size_bytes);
  if (!data.ok()) {
    return data.status();
  }
  return std::unique_ptr<PrivateMapping>(new PrivateMapping(*data, size_bytes));
}

PrivateMapping::~PrivateMapping() {
  munmap(data_, size_bytes_);
}

Status PrivateMapping::MoveTo(int fd) {
  const Result<std::byte*> other = Map(fd, size_bytes_);
  if (!other.ok()) {
    return other.status();
  }
  CopyWrittenPages(data_, *other, size_bytes_);
  // One step for who reads: the old pages or the new ones, never none.
  if (mremap(*other, size_bytes_, size_bytes_, MREMAP_MAYMOVE | MREMAP_FIXED, data_) ==
      MAP_FAILED) {
    const int error = errno;
    munmap(*other, size_bytes_);
    return {Code::kResourceExhausted, "A mapped file cannot be moved to memory: " +
                                          std::generic_category().message(error) + "."};
  }
  return {};
}

}  // namespace torchdeploy
