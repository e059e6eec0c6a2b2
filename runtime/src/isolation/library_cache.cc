#include "runtime/src/isolation/library_cache.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/file_identity.h"
#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"

#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/types.h>

namespace torchdeploy {

namespace {

namespace fs = std::filesystem;

// Part of every generation's key: raise it when PlanEdit() writes other copies than before.
constexpr const char* kLayout = "layout-1";
constexpr const char* kLockName = "lock";
constexpr const char* kEnvironmentName = "environment";
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

Status CreateFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return SystemError("create the cache folder", folder.string(), error.value());
  }
  return {};
}

// Whether the open file is the one that has this name now.
bool IsStillNamed(const OwnedFd& fd, const std::string& path) {
  const auto held = IdentifyOpenFile(fd.get(), path);
  const auto there = IdentifyFile(path);
  return held.ok() && there.ok() && held->inode == there->inode;
}

// Takes the generation's lock, shared, and returns it. A process that removes generations
// may have deleted the folder between our open and our lock: then it is made again.
Result<OwnedFd> LockGeneration(const fs::path& folder) {
  const std::string path = (folder / kLockName).string();
  while (true) {
    if (Status status = CreateFolder(folder); !status.ok()) {
      return status;
    }
    OwnedFd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!lock.ok() && errno != ENOENT) {
      return SystemError("write to the cache folder", path, errno);
    }
    if (lock.ok() && flock(lock.get(), LOCK_SH) != 0) {
      return SystemError("lock", path, errno);
    }
    if (lock.ok() && IsStillNamed(lock, path)) {
      return lock;
    }
  }
}

// Removes the generation unless a process uses it. Failing is harmless: it is tried again at
// the next start.
void RemoveIfUnused(const fs::path& generation) {
  const OwnedFd lock(open((generation / kLockName).c_str(), O_RDWR | O_CLOEXEC));
  if (lock.ok() && flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
    std::error_code ignored;
    fs::remove_all(generation, ignored);
  }
}

std::vector<fs::path> FoldersIn(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) {
      found.push_back(it->path());
    }
  }
  return found;
}

// Whether the Python that the folder's copies were made for is no longer there.
bool IsAbandoned(const fs::path& environment) {
  std::ifstream file(environment / kEnvironmentName);
  std::string python;
  std::getline(file, python);
  std::error_code ignored;
  return !python.empty() && !fs::exists(python, ignored);
}

void RemoveUnusedGenerationsOf(const fs::path& environment, const fs::path& current) {
  for (const fs::path& generation : FoldersIn(environment)) {
    if (generation != current) {
      RemoveIfUnused(generation);
    }
  }
}

void RemoveUnusedGenerations(const fs::path& root, const fs::path& current) {
  for (const fs::path& environment : FoldersIn(root)) {
    if (environment == current.parent_path() || IsAbandoned(environment)) {
      RemoveUnusedGenerationsOf(environment, current);
    }
  }
}

Status WriteAll(int fd, const std::byte* data, size_t size, uint64_t offset,
                const std::string& path) {
  while (size > 0) {
    const ssize_t written = pwrite(fd, data, size, static_cast<off_t>(offset));
    if (written < 0 && errno != EINTR) {
      return SystemError("write", path, errno);
    }
    const auto count = static_cast<size_t>(std::max<ssize_t>(written, 0));
    data += count;
    size -= count;
    offset += count;
  }
  return {};
}

// Whether the new file now holds the first bytes of the original and shares its blocks: what is
// written next is all that it takes on the disk. Only some file systems can do that.
bool CloneKeptBytes(int fd, const ElfImage& original, uint64_t kept_bytes) {
  const OwnedFd source(open(original.identity().path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.ok()) {
    return false;
  }
  const auto identity = IdentifyOpenFile(source.get(), original.identity().path);
  return identity.ok() && *identity == original.identity() &&
         ioctl(fd, FICLONE, source.get()) == 0 &&
         ftruncate(fd, static_cast<off_t>(kept_bytes)) == 0;
}

Status WriteCopy(int fd, const ElfImage& original, const ElfEdit& edit, const std::string& path) {
  if (!CloneKeptBytes(fd, original, edit.kept_bytes)) {
    if (Status status = WriteAll(fd, original.bytes().data(), edit.kept_bytes, 0, path);
        !status.ok()) {
      return status;
    }
  }
  for (const ElfEdit::Patch& patch : edit.patches) {
    if (Status status = WriteAll(fd, patch.bytes.data(), patch.bytes.size(), patch.offset, path);
        !status.ok()) {
      return status;
    }
  }
  if (Status status =
          WriteAll(fd, edit.appended.data(), edit.appended.size(), edit.appended_offset, path);
      !status.ok()) {
    return status;
  }
  // The copy takes the original's time stamp: any later write to it shows. It must be on disk
  // before it gets its name, or a power cut could leave a whole name on a torn file.
  const int64_t mtime_ns = original.identity().mtime_ns;
  const timespec stamp{.tv_sec = mtime_ns / kNanosecondsPerSecond,
                       .tv_nsec = mtime_ns % kNanosecondsPerSecond};
  const std::array<timespec, 2> times = {stamp, stamp};
  if (fdatasync(fd) != 0 || futimens(fd, times.data()) != 0) {
    return SystemError("finish", path, errno);
  }
  return {};
}

bool HasBytes(int fd, uint64_t offset, const std::vector<std::byte>& expected) {
  std::vector<std::byte> found(expected.size());
  const ssize_t count = pread(fd, found.data(), found.size(), static_cast<off_t>(offset));
  return count == static_cast<ssize_t>(expected.size()) && found == expected;
}

bool IsWhole(const ElfImage& original, const ElfEdit& edit, const std::string& path) {
  const OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) {
    return false;
  }
  const auto identity = IdentifyOpenFile(fd.get(), path);
  if (!identity.ok() || identity->size_bytes != edit.size_bytes() ||
      identity->mtime_ns != original.identity().mtime_ns) {
    return false;
  }
  return HasBytes(fd.get(), edit.appended_offset, edit.appended) &&
         std::all_of(edit.patches.begin(), edit.patches.end(), [&](const ElfEdit::Patch& patch) {
           return HasBytes(fd.get(), patch.offset, patch.bytes);
         });
}

std::string EnvironmentVariable(const char* name) {
  const char* value = getenv(name);  // NOLINT(concurrency-mt-unsafe): read before any start.
  return value == nullptr ? "" : value;
}

}  // namespace

Result<std::unique_ptr<LibraryCache>> LibraryCache::Open(const std::string& root,
                                                         const std::string& environment,
                                                         const std::vector<FileIdentity>& state) {
  std::string key = kLayout;
  for (const FileIdentity& identity : state) {
    key += "\n" + identity.ToString();
  }
  const fs::path folder = fs::path(root) / ShortHash(environment) / ShortHash(key);
  Result<OwnedFd> lock = LockGeneration(folder);
  if (!lock.ok()) {
    return lock.status();
  }
  std::ofstream(folder.parent_path() / kEnvironmentName) << environment << '\n';
  RemoveUnusedGenerations(root, folder);
  return std::unique_ptr<LibraryCache>(new LibraryCache(folder.string(), *std::move(lock)));
}

std::string LibraryCache::PathFor(uint32_t interpreter, const FileIdentity& source) const {
  return (fs::path(folder_) / std::to_string(interpreter) / ShortHash(source.ToString()) /
          fs::path(source.path).filename())
      .string();
}

std::string LibraryCache::SealFor(const FileIdentity& source, const std::string& path) {
  return std::string("torchdeploy ") + kLayout + " " + source.ToString() + " " + path;
}

Status LibraryCache::Store(const ElfImage& original, const ElfEdit& edit,
                           const std::string& path) const {
  if (IsWhole(original, edit, path)) {
    return {};
  }
  if (Status status = CreateFolder(fs::path(path).parent_path()); !status.ok()) {
    return status;
  }
  static std::atomic<uint64_t> counter{0};
  const std::string aside =
      path + "." + std::to_string(getpid()) + "." + std::to_string(counter.fetch_add(1)) + ".new";
  OwnedFd fd(open(aside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.ok()) {
    return SystemError("write to the cache folder", aside, errno);
  }
  Status status = WriteCopy(fd.get(), original, edit, aside);
  if (status.ok() && rename(aside.c_str(), path.c_str()) != 0) {
    status = SystemError("rename", aside, errno);
  }
  if (!status.ok()) {
    unlink(aside.c_str());
  }
  return status;
}

Result<std::string> CacheRoot(const std::string& configured) {
  if (!configured.empty()) {
    return fs::absolute(configured).string();
  }
  if (const std::string own = EnvironmentVariable("TORCHDEPLOY_CACHE"); !own.empty()) {
    return fs::absolute(own).string();
  }
  if (const std::string xdg = EnvironmentVariable("XDG_CACHE_HOME"); !xdg.empty()) {
    return (fs::path(xdg) / "torchdeploy").string();
  }
  if (const std::string home = EnvironmentVariable("HOME"); !home.empty()) {
    return (fs::path(home) / ".cache" / "torchdeploy").string();
  }
  return Status(Code::kFailedPrecondition,
                "no cache folder: set TORCHDEPLOY_CACHE, XDG_CACHE_HOME or HOME");
}

}  // namespace torchdeploy
