// Warning before somebody changes a file.
#pragma once

#include <functional>
#include <memory>

#include "runtime/src/isolation/owned_fd.h"

namespace torchdeploy {

struct LeaseState;  // Internal.

// While this lives, who opens the file for writing or truncates it waits in the kernel until
// `on_break` has returned, or until /proc/sys/fs/lease-break-time seconds (45) have passed.
//
// Source: fcntl(2), "Leases".
class FileLease {
 public:
  // Null when the kernel gives none: somebody has the file open for writing, it belongs to
  // another user, or the file system knows no leases. `on_break` is called at most once, on
  // a thread of the lease's own, and must not throw; the lease has ended when it returns.
  static std::unique_ptr<FileLease> Take(const OwnedFd& file, std::function<void()> on_break);

  FileLease(const FileLease&) = delete;
  FileLease& operator=(const FileLease&) = delete;
  // Never waits; `on_break` may still run afterwards if it had begun.
  ~FileLease();

 private:
  explicit FileLease(std::shared_ptr<LeaseState> state);

  std::shared_ptr<LeaseState> state_;
};

}  // namespace torchdeploy
