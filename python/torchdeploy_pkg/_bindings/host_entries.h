// Threads of the host's Python inside this binding, and the end of that Python.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

namespace torchdeploy {

// CPython before 3.14 ends a thread that asks for the GIL while Python finalises, by unwinding
// its stack, which C++ turns into std::terminate(). So no other thread may be inside when
// that begins: those that come later, daemon threads, sleep until the process is gone. Who is
// inside may take the GIL, for Python ends when they have left.
//
// Thread-safe. One for the process, as Python's own state is.
class HostEntries {
 public:
  static HostEntries& OfProcess();

  // Both with the host's GIL held; they nest. The first Enter() of another thread does not
  // return after End().
  void Enter();
  void Leave();

  // Waits until all have left. REQUIRES: no host's GIL, and not to be inside.
  void End();

 private:
  HostEntries() = default;

  std::mutex mutex_;
  std::condition_variable left_;
  // Guarded by mutex_.
  size_t inside_ = 0;  // Threads.
  bool ended_ = false;
  std::thread::id ending_thread_;
};

// One thread inside, until the end of a scope.
class HostEntry {
 public:
  HostEntry() { HostEntries::OfProcess().Enter(); }
  HostEntry(const HostEntry&) = delete;
  HostEntry& operator=(const HostEntry&) = delete;
  ~HostEntry() { HostEntries::OfProcess().Leave(); }
};

}  // namespace torchdeploy
