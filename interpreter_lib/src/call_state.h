// What a call may set and must not leave behind.
#pragma once

#include "interpreter_lib/common/intra_op_threads.h"
#include "interpreter_lib/src/settings_at_rest.h"

namespace torchdeploy {

// At its destruction, also when the call raised, everything is as before: grad, inference and
// autocast modes, torch function and dispatch modes, the interpreter's settings, and the number of
// intra-op threads, which during its lifetime is `intra_op_threads`.
//
// Made and destroyed inside the interpreter on one thread, with no Python error set. One at a time
// on a thread. Settings that are one per interpreter, not one per thread, are mixed up when two
// calls that change them overlap in one interpreter.
class CallState {
 public:
  CallState(const SettingsAtRest& settings, int intra_op_threads);
  CallState(const CallState&) = delete;
  CallState& operator=(const CallState&) = delete;
  ~CallState();

 private:
  const SettingsAtRest& settings_;
  const IntraOpThreads threads_;
};

}  // namespace torchdeploy
