#include "runtime/src/isolation/file_identity.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include "torchdeploy/status.h"

#include <sys/stat.h>

namespace torchdeploy {

namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

FileIdentity FromStat(const struct stat& info, const std::string& path) {
  return {.path = path,
          .device = info.st_dev,
          .inode = info.st_ino,
          .size_bytes = static_cast<uint64_t>(info.st_size),
          .mtime_ns = info.st_mtim.tv_sec * kNanosecondsPerSecond + info.st_mtim.tv_nsec};
}

Code CodeOf(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:  // NOLINT(misc-include-cleaner): <cerrno> has it.
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Code::kResourceExhausted;
    default:
      return Code::kInternal;
  }
}

}  // namespace

std::string FileIdentity::ToString() const {
  return path + "|" + std::to_string(device) + "|" + std::to_string(inode) + "|" +
         std::to_string(size_bytes) + "|" + std::to_string(mtime_ns);
}

Result<FileIdentity> IdentifyFile(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    return SystemError("find", path, errno);
  }
  return FromStat(info, path);
}

Result<FileIdentity> IdentifyOpenFile(int fd, const std::string& path) {
  struct stat info{};
  if (fstat(fd, &info) != 0) {
    return SystemError("look at", path, errno);
  }
  return FromStat(info, path);
}

std::string ShortHash(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  std::string digits(16, '0');
  for (size_t i = digits.size(); i-- > 0; hash >>= 4U) {
    digits[i] = "0123456789abcdef"[hash & 15U];
  }
  return digits;
}

Status SystemError(const std::string& action, const std::string& path, int error_number) {
  return {CodeOf(error_number),
          "cannot " + action + " " + path + ": " +
              std::error_code(error_number, std::generic_category()).message()};
}

}  // namespace torchdeploy
