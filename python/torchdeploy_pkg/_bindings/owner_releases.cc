#include "python/torchdeploy_pkg/_bindings/owner_releases.h"

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

namespace torchdeploy {

namespace {

thread_local bool drains_at_end = false;

}  // namespace

OwnerReleases& OwnerReleases::OfProcess() {
  // Never destroyed: interpreters drop tensors until the process is gone.
  static auto* const releases = new OwnerReleases;  // NOLINT(cppcoreguidelines-owning-memory)
  return *releases;
}

void OwnerReleases::Push(std::unique_ptr<HostOwned> owned) {
  // Py_AddPendingCall() needs no GIL, but a living Python: so it is within the lock.
  const std::lock_guard lock(mutex_);
  owned_.push_back(std::move(owned));
  if (!drains_at_end && !closed_ && !main_thread_asked_) {
    // Fails when Python's own short queue is full; the next Push() or Drain() makes up for it.
    main_thread_asked_ = Py_AddPendingCall(&DrainOnMainThread, this) == 0;
  }
}

OwnerReleases::DrainAtEnd::DrainAtEnd() {
  drains_at_end = true;
}

OwnerReleases::DrainAtEnd::~DrainAtEnd() {
  drains_at_end = false;
  OfProcess().Drain();
}

void OwnerReleases::Drain() {
  std::vector<std::unique_ptr<HostOwned>> owned;
  {
    const std::lock_guard lock(mutex_);
    owned.swap(owned_);
  }
}

void OwnerReleases::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

int OwnerReleases::DrainOnMainThread(void* releases) {
  auto& self = *static_cast<OwnerReleases*>(releases);
  {
    const std::lock_guard lock(self.mutex_);
    self.main_thread_asked_ = false;
  }
  self.Drain();
  return 0;
}

}  // namespace torchdeploy
