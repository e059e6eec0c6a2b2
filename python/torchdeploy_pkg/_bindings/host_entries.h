// Threads of the host's Python inside this binding, and the end of that Python.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

#include <pybind11/pybind11.h>

namespace torchdeploy {

// CPython before 3.14 ends a thread that asks for the GIL while Python finalises, by unwinding
// its stack, which C++ turns into std::terminate(). So no other thread may be inside when
// that begins: those that come later, daemon threads, sleep until the process is gone, and so
// do those that come back from a call later than the end could wait for.
//
// Thread-safe. One for the process, as Python's own state is.
class HostEntries {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  static HostEntries& OfProcess();

  // Both with the host's GIL held; they nest. The first Enter() of another thread does not
  // return after End().
  void Enter();
  void Leave();

  // Without the host's GIL. A thread that is inside is in an interpreter's hands in between.
  void GoAway();
  void ComeBack();

  // Around the settling of a future on an interpreter's thread, which is not inside. Without the
  // host's GIL. False, and nothing to end, when Python is gone.
  [[nodiscard]] bool BeginToSettle();
  void EndToSettle();

  // Waits until all have left, but not longer than until `deadline` for those who are away.
  // REQUIRES: no host's GIL, and not to be inside.
  void End(Deadline deadline);
  // Waits until no future is being settled, or for `deadline`; none is from then on.
  void EndSettling(Deadline deadline);

  // In a child that the host has forked, where the other threads do not exist.
  void ForgetThreads() { is_over_.store(true); }

  // Whether nobody must be waited for any more.
  [[nodiscard]] bool is_over() const { return is_over_.load(); }

 private:
  HostEntries() = default;

  std::atomic<bool> is_over_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Numbers of threads.
  size_t inside_ = 0;
  size_t away_ = 0;
  size_t settling_ = 0;
  bool ended_ = false;
  bool gave_up_ = false;  // On those who are away.
  bool settling_ended_ = false;
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

// No GIL of the host until the end of a scope, for a thread that is inside.
class WithoutHostGil {
 public:
  WithoutHostGil() : state_(PyEval_SaveThread()) { HostEntries::OfProcess().GoAway(); }
  WithoutHostGil(const WithoutHostGil&) = delete;
  WithoutHostGil& operator=(const WithoutHostGil&) = delete;
  ~WithoutHostGil() {
    HostEntries::OfProcess().ComeBack();
    PyEval_RestoreThread(state_);
  }

 private:
  PyThreadState* const state_;
};

}  // namespace torchdeploy
