// Entering the interpreter from any thread.
#include "interpreter_lib/src/interpreter_entry.h"

#include <Python.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {
namespace {

// This library is loaded once per interpreter, so these are one per interpreter.
std::atomic<bool> thread_states_are_freed = true;
std::atomic<uint64_t> lock_wait_ns = 0;
std::array<std::atomic<uint64_t>, TD_LOCK_WAIT_BUCKETS> lock_waits = {};

void CountLockWait(uint64_t ns) {
  size_t bucket = 0;
  for (uint64_t bound_ns = 1000; ns > bound_ns && bucket + 1 < lock_waits.size(); bound_ns *= 10) {
    ++bucket;
  }
  lock_wait_ns.fetch_add(ns, std::memory_order_relaxed);
  lock_waits.at(bucket).fetch_add(1, std::memory_order_relaxed);
}

// Such a thread ends only with the process, which must not wait for a call that hangs.
bool IsMainThreadOfProcess() {
  return PyThread_get_thread_native_id() == static_cast<unsigned long>(getpid());
}

// One thread's Python thread state; a thread_local of it is one per (thread, interpreter).
struct KeptThreadState {
  PyThreadState* state = nullptr;
  bool is_interpreters_own = false;  // Made by the initialisation; lives with the process.

  ~KeptThreadState() {
    if (state == nullptr || is_interpreters_own || !thread_states_are_freed.load() ||
        IsMainThreadOfProcess()) {
      return;
    }
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
  }
};

thread_local KeptThreadState kept;

// The state with which this thread enters, made if there is none.
PyThreadState* StateOfThisThread() {
  if (kept.state != nullptr) {
    return kept.state;
  }
  // A thread that Python itself started comes back with the state it already has.
  if (PyThreadState* const pythons = PyGILState_GetThisThreadState(); pythons != nullptr) {
    return pythons;
  }
  kept.state = PyThreadState_New(PyInterpreterState_Main());
  if (kept.state == nullptr) {
    throw std::bad_alloc();
  }
  return kept.state;
}

// Takes the lock unless this thread holds it, and says whether it did hold it.
bool Enter() {
  if (PyGILState_Check() == 1) {
    return true;
  }
  PyThreadState* const state = StateOfThisThread();
  const auto begin = std::chrono::steady_clock::now();
  PyEval_RestoreThread(state);
  const std::chrono::nanoseconds wait = std::chrono::steady_clock::now() - begin;
  CountLockWait(static_cast<uint64_t>(wait.count()));
  return false;
}

}  // namespace

InterpreterEntry::InterpreterEntry(ReleaseQueue& releases) : releases_(releases), nested_(Enter()) {
  releases_.Drain();
}

InterpreterEntry::~InterpreterEntry() {
  releases_.Drain();
  if (!nested_) {
    PyEval_SaveThread();
  }
}

void ReadLockWaits(td_usage& usage) {
  usage.lock_wait_ns = lock_wait_ns.load(std::memory_order_relaxed);
  std::ranges::transform(lock_waits, std::begin(usage.lock_waits),
                         [](const auto& count) { return count.load(std::memory_order_relaxed); });
}

void LeaveAfterStart() {
  kept.is_interpreters_own = true;
  kept.state = PyEval_SaveThread();
}

void StopFreeingThreadStates() {
  thread_states_are_freed.store(false);
}

}  // namespace torchdeploy
