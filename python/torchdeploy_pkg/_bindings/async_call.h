// Calls whose result arrives in a Python future.
#pragma once

#include <memory>
#include <vector>

#include <pybind11/pybind11.h>

#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/host_python.h"

namespace torchdeploy {

// Calls `object` and settles `future`, a concurrent.futures.Future that runs already, on the
// interpreter's thread; never waits for the call. Tensors in the result are copies: what
// aliases the model's memory is stable only within the callback. REQUIRES: the host's GIL.
void CallIntoFuture(const ReplicatedObj& object, std::vector<Value> args, Kwargs kwargs,
                    const HostPython& host, const pybind11::object& future);

// Whether this thread is settling a future, where nothing may wait for the interpreter.
[[nodiscard]] bool IsSettlingFuture();

}  // namespace torchdeploy
