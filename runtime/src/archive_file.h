// The bytes of an archive, safe from whoever changes the file.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/src/file_lease.h"
#include "runtime/src/isolation/owned_fd.h"
#include "runtime/src/memory_file.h"
#include "runtime/src/private_mapping.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

// The file is mapped where it lies, under a lease: before somebody rewrites or truncates it,
// its bytes are copied to memory once, and every mapping moves there. A file that cannot be
// leased is copied to memory when it is opened; an archive in memory, too. Thread-safe.
class ArchiveFile : public std::enable_shared_from_this<ArchiveFile> {
 public:
  // Does `work` at a time when nothing runs in the interpreter at `slot`.
  using WhileIdle = std::function<void(size_t slot, const std::function<void()>& work)>;

  // kNotFound, kPermissionDenied, kInvalidArgument: there is no such file, it cannot be read,
  // or is none. kDataLoss: it is empty. kResourceExhausted: no memory for a copy.
  static Result<std::shared_ptr<ArchiveFile>> Open(const std::string& path);

  // A copy of `bytes`; `name` stands for its path. kInvalidArgument: the name is empty.
  // kDataLoss: there are no bytes. kResourceExhausted: no memory.
  static Result<std::shared_ptr<ArchiveFile>> Copy(std::span<const std::byte> bytes,
                                                   const std::string& name);
  // REQUIRES: `memory` is not empty.
  static std::shared_ptr<ArchiveFile> OfMemory(const std::string& name, MemoryFile memory);

  ArchiveFile(const ArchiveFile&) = delete;
  ArchiveFile& operator=(const ArchiveFile&) = delete;
  ~ArchiveFile() = default;

  [[nodiscard]] const std::string& path() const { return path_; }

  // How to reach the interpreters that write. REQUIRES: before the first Map() with a writer.
  void SetWhileIdle(WhileIdle while_idle) { while_idle_ = std::move(while_idle); }

  // All bytes, uint8 of shape [n], in a private mapping, which the interpreter at `writer`, and
  // nobody else, may change; without a writer nobody may, and all who ask have the same one. It
  // lives as long as the tensor, whose last handle may go on any thread.
  Result<Tensor> Map(std::optional<size_t> writer = {});

 private:
  struct Mapped {
    std::optional<size_t> writer;
    std::weak_ptr<PrivateMapping> mapping;
  };

  ArchiveFile(std::string path, OwnedFd file, size_t size_bytes);

  // REQUIRES: mutex_ is held.
  Result<std::shared_ptr<PrivateMapping>> MappingFor(std::optional<size_t> writer);
  Status MoveToMemory();
  Status Move(const Mapped& mapped) const;

  const std::string path_;
  const size_t size_bytes_;
  WhileIdle while_idle_;

  std::mutex mutex_;
  // Guarded by mutex_.
  OwnedFd file_;
  std::vector<Mapped> mapped_;

  std::unique_ptr<FileLease> lease_;  // Null: the bytes are in memory. Set by Open().
};

}  // namespace torchdeploy
