#include "server/file_stamp.h"

#include <cstdint>
#include <string>

#include <sys/stat.h>

namespace torchdeploy::server {

FileStamp StampOf(const std::string& path) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) {
    return {};
  }
  return {info.st_dev, info.st_ino, info.st_size,
          info.st_mtim.tv_sec * kNsPerSecond + info.st_mtim.tv_nsec};
}

}  // namespace torchdeploy::server
