#include "runtime/src/archive_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "runtime/src/archive_failure.h"
#include "runtime/src/file_lease.h"
#include "runtime/src/isolation/owned_fd.h"
#include "runtime/src/memory_file.h"
#include "runtime/src/private_mapping.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include <sys/stat.h>

namespace torchdeploy {

namespace {

// What a tensor over a mapping keeps alive: the file, for its lease, besides the mapping.
struct MappingOwner {
  std::shared_ptr<ArchiveFile> file;
  std::shared_ptr<PrivateMapping> mapping;
};

Status CheckName(const std::string& name, const std::string& what) {
  if (name.empty() || name.find('\0') != std::string::npos) {
    return {Code::kInvalidArgument,
            "The " + what + " of an archive is empty or holds a NUL character."};
  }
  return {};
}

Status FailureOfSystem(const std::string& path, const std::string& what, int error) {
  Code code = Code::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) {
    return ArchiveFailure(Code::kNotFound, path, "does not exist");
  }
  if (error == EACCES || error == EPERM) {
    code = Code::kPermissionDenied;
  } else if (error == ENOMEM || error == ENOSPC || error == EMFILE || error == ENFILE) {
    code = Code::kResourceExhausted;
  }
  return ArchiveFailure(code, path, what + ": " + std::generic_category().message(error));
}

Status EmptyArchive(const std::string& path) {
  return ArchiveFailure(Code::kDataLoss, path, "is empty; expected one written by torch.package");
}

// The size of the file, which must be a regular one with something in it.
Result<size_t> SizeOf(const OwnedFd& file, const std::string& path) {
  struct stat status{};
  if (fstat(file.get(), &status) != 0) {
    return FailureOfSystem(path, "cannot be looked at", errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return ArchiveFailure(Code::kInvalidArgument, path,
                          S_ISDIR(status.st_mode)
                              ? "is a folder; expected a file written by torch.package"
                              : "is not a regular file");
  }
  if (status.st_size == 0) {
    return EmptyArchive(path);
  }
  return static_cast<size_t>(status.st_size);
}

// The first bytes of `file` as a file of this process's memory that nobody can change.
Result<OwnedFd> CopyToMemory(const OwnedFd& file, size_t size_bytes, const std::string& path) {
  Result<MemoryFile> memory = MemoryFile::Create(size_bytes, path);
  if (!memory.ok()) {
    return memory.status();
  }
  if (Status status = memory->AppendFile(file, size_bytes); !status.ok()) {
    return status;
  }
  return std::move(*memory).Seal();
}

}  // namespace

ArchiveFile::ArchiveFile(std::string path, OwnedFd file, size_t size_bytes)
    : path_(std::move(path)), size_bytes_(size_bytes), file_(std::move(file)) {}

Result<std::shared_ptr<ArchiveFile>> ArchiveFile::Open(const std::string& path) {
  if (Status status = CheckName(path, "path"); !status.ok()) {
    return status;
  }
  // Not blocked by a FIFO, which is refused below.
  OwnedFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.ok()) {
    return FailureOfSystem(path, "cannot be read", errno);
  }
  const Result<size_t> size = SizeOf(file, path);
  if (!size.ok()) {
    return size.status();
  }
  const std::shared_ptr<ArchiveFile> archive(new ArchiveFile(path, std::move(file), *size));
  archive->lease_ = FileLease::Take(archive->file_, [weak = archive->weak_from_this()] {
    const std::shared_ptr<ArchiveFile> changing = weak.lock();
    const Status status = changing == nullptr ? Status() : changing->MoveToMemory();
    if (!status.ok()) {
      std::fprintf(stderr, "torchdeploy: %s\n", status.ToString().c_str());
    }
  });
  if (archive->lease_ == nullptr) {
    if (Status status = archive->MoveToMemory(); !status.ok()) {
      return status;
    }
  }
  return archive;
}

Result<std::shared_ptr<ArchiveFile>> ArchiveFile::Copy(std::span<const std::byte> bytes,
                                                       const std::string& name) {
  if (Status status = CheckName(name, "name"); !status.ok()) {
    return status;
  }
  if (bytes.empty()) {
    return EmptyArchive(name);
  }
  Result<MemoryFile> memory = MemoryFile::Create(bytes.size(), name);
  if (!memory.ok()) {
    return memory.status();
  }
  if (Status status = memory->Append(bytes); !status.ok()) {
    return status;
  }
  return OfMemory(name, *std::move(memory));
}

std::shared_ptr<ArchiveFile> ArchiveFile::OfMemory(const std::string& name, MemoryFile memory) {
  const auto size_bytes = static_cast<size_t>(memory.size_bytes());
  return std::shared_ptr<ArchiveFile>(new ArchiveFile(name, std::move(memory).Seal(), size_bytes));
}

Result<std::shared_ptr<PrivateMapping>> ArchiveFile::MappingFor(std::optional<size_t> writer) {
  std::erase_if(mapped_, [](const Mapped& mapped) { return mapped.mapping.expired(); });
  for (const Mapped& mapped : mapped_) {
    std::shared_ptr<PrivateMapping> mapping = mapped.mapping.lock();
    if (!writer.has_value() && !mapped.writer.has_value() && mapping != nullptr) {
      return mapping;
    }
  }
  Result<std::unique_ptr<PrivateMapping>> created =
      PrivateMapping::Create(file_.get(), size_bytes_);
  if (!created.ok()) {
    return created.status();
  }
  std::shared_ptr<PrivateMapping> mapping = *std::move(created);
  mapped_.push_back({writer, mapping});
  return mapping;
}

Result<Tensor> ArchiveFile::Map(std::optional<size_t> writer) {
  const std::lock_guard lock(mutex_);
  Result<std::shared_ptr<PrivateMapping>> mapping = MappingFor(writer);
  if (!mapping.ok()) {
    return mapping.status();
  }
  void* const data = (*mapping)->data();
  const auto owner =
      std::make_shared<MappingOwner>(MappingOwner{shared_from_this(), *std::move(mapping)});
  return Tensor::View(data, {kDLUInt, 8, 1}, {static_cast<int64_t>(size_bytes_)}, owner);
}

Status ArchiveFile::MoveToMemory() {
  Result<OwnedFd> memory = CopyToMemory(file_, size_bytes_, path_);
  if (!memory.ok()) {
    return memory.status();
  }
  std::vector<Mapped> mapped;
  {
    const std::lock_guard lock(mutex_);
    file_ = *std::move(memory);
    mapped = mapped_;  // They stay, and readers who come later share theirs.
  }
  Status first_failure;
  for (const Mapped& one : mapped) {
    Status status = Move(one);
    if (first_failure.ok()) {
      first_failure = std::move(status);
    }
  }
  return first_failure;
}

Status ArchiveFile::Move(const Mapped& mapped) const {
  Status status;
  const auto move = [&] {
    const std::shared_ptr<PrivateMapping> mapping = mapped.mapping.lock();
    status = mapping == nullptr ? Status() : mapping->MoveTo(file_.get());
  };
  if (mapped.writer.has_value()) {
    while_idle_(*mapped.writer, move);
  } else {
    move();
  }
  return status;
}

}  // namespace torchdeploy
