// Torch's and Python's modes and settings, kept as a call found them.
#pragma once

#include <memory>

#include "interpreter_lib/src/py_ref.h"

namespace torchdeploy {

// Where Python keeps the settings that C++ does not, and what puts them back.
struct PythonSettings {
  PyRef warnings;                 // The module's dict.
  PyRef device;                   // The dict of torch.utils._device.
  PyRef global_device_context;    // torch._GLOBAL_DEVICE_CONTEXT, a threading.local.
  PyRef restore_warning_filters;  // torchdeploy_engine.settings.restore_...
  PyRef restore_deterministic;
};

// Saves at construction and restores at destruction, also when the call raised:
// grad, inference and autocast modes, torch function and dispatch modes, default dtype and
// device, deterministic algorithms, float32 precision, warning filters, and the number of
// intra-op threads, which during its lifetime is `intra_op_threads`.
//
// Made and destroyed inside the interpreter on one thread, with no Python error set. Cheap: a
// trivial call takes 6.5 us in all. Settings that are one per interpreter, not one per thread,
// are mixed up when two calls that change them overlap in one interpreter.
class CallState {
 public:
  CallState(const PythonSettings& settings, int intra_op_threads);
  CallState(const CallState&) = delete;
  CallState& operator=(const CallState&) = delete;
  ~CallState();

 private:
  struct Saved;

  const PythonSettings& settings_;
  std::unique_ptr<const Saved> saved_;
};

}  // namespace torchdeploy
