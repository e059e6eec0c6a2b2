// Calls whose result arrives in a Python future.
#pragma once

#include <memory>
#include <vector>

#include <pybind11/pybind11.h>

#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/host_python.h"

namespace torchdeploy {

// Calls `object` and settles `future`, a concurrent.futures.Future that is pending, on the
// interpreter's thread; never waits for the call, which the returned cancellation ends early.
// Tensors in the result are copies: what aliases the model's memory is stable only within the
// callback. REQUIRES: the host's GIL; no cancellation in `options`.
Cancellation CallIntoFuture(const ReplicatedObj& object, std::vector<Value> args, Kwargs kwargs,
                            CallOptions options, const HostPython& host,
                            const pybind11::object& future);

// Whether this thread is settling a future, where nothing may wait for the interpreter.
[[nodiscard]] bool IsSettlingFuture();

}  // namespace torchdeploy
