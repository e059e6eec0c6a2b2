#include "runtime/src/memory_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "runtime/src/archive_failure.h"
#include "runtime/src/available_memory.h"
#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/types.h>

namespace torchdeploy {

namespace {

Status CannotCopy(const std::string& path, int error) {
  const bool is_full = error == ENOMEM || error == ENOSPC || error == EMFILE || error == ENFILE;
  return ArchiveFailure(is_full ? Code::kResourceExhausted : Code::kUnavailable, path,
                        "cannot be copied to memory: " + std::generic_category().message(error));
}

}  // namespace

Result<MemoryFile> MemoryFile::Create(uint64_t size_bytes, const std::string& path) {
  const uint64_t available = AvailableMemoryBytes();
  if (size_bytes > available - available / 10) {
    return ArchiveFailure(Code::kResourceExhausted, path,
                          "needs " + std::to_string(size_bytes) + " bytes of memory; " +
                              std::to_string(available) + " are available");
  }
  OwnedFd file(memfd_create("torchdeploy archive", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.ok()) {
    return CannotCopy(path, errno);
  }
  return MemoryFile(std::move(file), path);
}

Status MemoryFile::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return CannotCopy(path_, errno);
    }
    if (written > 0) {
      bytes = bytes.subspan(static_cast<size_t>(written));
      size_bytes_ += static_cast<uint64_t>(written);
    }
  }
  return {};
}

Status MemoryFile::AppendFile(const OwnedFd& file, size_t size_bytes) {
  off_t offset = 0;
  while (static_cast<size_t>(offset) < size_bytes) {
    const size_t rest = size_bytes - static_cast<size_t>(offset);
    const ssize_t sent = sendfile(file_.get(), file.get(), &offset, rest);
    if (sent == 0) {
      return ArchiveFailure(Code::kDataLoss, path_, "became shorter while it was read");
    }
    if (sent < 0 && errno != EINTR) {
      return CannotCopy(path_, errno);
    }
  }
  size_bytes_ += size_bytes;
  return {};
}

OwnedFd MemoryFile::Seal() && {
  fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return std::move(file_);
}

}  // namespace torchdeploy
