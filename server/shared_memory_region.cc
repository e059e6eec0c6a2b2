#include "server/shared_memory_region.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "torchdeploy/status.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

namespace torchdeploy::server {

namespace {

std::string Named(const std::string& key) {
  return "shared memory '" + key + "'";
}

std::string TextOf(int error) {
  return std::generic_category().message(error);
}

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
      return Code::kResourceExhausted;
    default:
      return Code::kInvalidArgument;
  }
}

Status Shortened(const std::string& key) {
  return {Code::kInvalidArgument, Named(key) + " has become shorter since it was registered"};
}

// Calls `move(done)`, which says how many bytes it has moved, until all are.
Status MoveAll(const std::string& key, size_t size_bytes,
               const std::function<ssize_t(size_t done)>& move) {
  size_t done = 0;
  while (done < size_bytes) {
    const ssize_t moved = move(done);
    if (moved == 0) {
      return Shortened(key);
    }
    if (moved < 0 && errno != EINTR) {
      return {CodeOf(errno), Named(key) + ": " + TextOf(errno)};
    }
    done += static_cast<size_t>(std::max<ssize_t>(moved, 0));
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const SharedMemoryRegion>> SharedMemoryRegion::Open(
    const RegionPlace& place) {
  const int file = shm_open(place.key.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (file < 0) {
    return Status(CodeOf(errno), Named(place.key) + ": " + TextOf(errno));
  }
  auto region = std::make_shared<const SharedMemoryRegion>(file, place);
  struct stat facts = {};
  if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return Status(Code::kInvalidArgument, Named(place.key) + " is no memory");
  }
  const auto size_bytes = static_cast<uint64_t>(facts.st_size);
  if (place.offset > size_bytes || place.size_bytes > size_bytes - place.offset) {
    return Status(Code::kInvalidArgument, Named(place.key) + " has " + std::to_string(size_bytes) +
                                              " bytes; " + std::to_string(place.size_bytes) +
                                              " from " + std::to_string(place.offset) +
                                              " on are asked for");
  }
  return region;
}

SharedMemoryRegion::SharedMemoryRegion(int file, RegionPlace place)
    : file_(file), place_(std::move(place)) {}

SharedMemoryRegion::~SharedMemoryRegion() {
  close(file_);
}

Status SharedMemoryRegion::Read(uint64_t offset, std::span<std::byte> to) const {
  return MoveAll(place_.key, to.size(), [&](size_t done) {
    return pread(file_, to.data() + done, to.size() - done,
                 static_cast<off_t>(place_.offset + offset + done));
  });
}

Status SharedMemoryRegion::Write(uint64_t offset, std::span<const std::byte> from) const {
  struct stat facts = {};
  const uint64_t end = place_.offset + offset + from.size();
  if (fstat(file_, &facts) != 0 || static_cast<uint64_t>(facts.st_size) < end) {
    return Shortened(place_.key);  // Writing would make it longer again.
  }
  return MoveAll(place_.key, from.size(), [&](size_t done) {
    return pwrite(file_, from.data() + done, from.size() - done,
                  static_cast<off_t>(place_.offset + offset + done));
  });
}

}  // namespace torchdeploy::server
