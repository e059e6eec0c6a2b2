// Entering the interpreter from any thread.
#pragma once

#include <Python.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

// Holds the interpreter's lock (the GIL) for its lifetime, and destroys what the host has
// released when it takes and before it gives up the lock.
//
// Each thread's Python thread state is made at its first entry and kept until the thread
// ends, which makes later entries cheap. Nests: a thread that is already inside
// stays inside.
class InterpreterEntry {
 public:
  explicit InterpreterEntry(ReleaseQueue& releases);
  InterpreterEntry(const InterpreterEntry&) = delete;
  InterpreterEntry& operator=(const InterpreterEntry&) = delete;
  ~InterpreterEntry();

 private:
  ReleaseQueue& releases_;
  const bool nested_;
};

// Fills in how threads have waited for the lock so far, in entries.
void ReadLockWaits(td_usage& usage);

// Leaves the interpreter that this thread has just initialised, and keeps its thread state
// as this thread's for later entries.
void LeaveAfterStart();

// From now on no thread that ends waits for the interpreter: thread states are leaked.
void StopFreeingThreadStates();

}  // namespace torchdeploy
