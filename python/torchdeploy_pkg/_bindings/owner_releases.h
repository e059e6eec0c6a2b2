// What the host's Python owns and an interpreter no longer needs.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace torchdeploy {

// Something whose destruction needs the host's GIL.
class HostOwned {
 public:
  HostOwned() = default;
  HostOwned(const HostOwned&) = delete;
  HostOwned& operator=(const HostOwned&) = delete;
  virtual ~HostOwned() = default;
};

// A queue, because the last user may be an interpreter's thread that holds another GIL, and a
// thread that waits for two can deadlock. Thread-safe. One for the process, as Python's own
// state is.
class OwnerReleases {
 public:
  static OwnerReleases& OfProcess();

  // Drains at the end of a scope, which begins and ends with the host's GIL. What this thread
  // pushes in between does not wake the main thread.
  class DrainAtEnd {
   public:
    DrainAtEnd();
    DrainAtEnd(const DrainAtEnd&) = delete;
    DrainAtEnd& operator=(const DrainAtEnd&) = delete;
    ~DrainAtEnd();
  };

  // Never waits for a GIL. The main thread is asked to destroy `owned`, unless this thread is
  // within DrainAtEnd, or another thread's Drain() comes first.
  void Push(std::unique_ptr<HostOwned> owned);

  // Destroys what was pushed. REQUIRES: the host's GIL.
  void Drain();

  // Asks the main thread no more, for Python is ending: what is left goes with the process.
  void Close();

 private:
  OwnerReleases() = default;

  static int DrainOnMainThread(void* releases);

  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::unique_ptr<HostOwned>> owned_;
  bool main_thread_asked_ = false;
  bool closed_ = false;
};

}  // namespace torchdeploy
