// Values between the host's Python and the runtime.
#pragma once

#include <vector>

#include <pybind11/pybind11.h>

#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/host_python.h"

namespace torchdeploy {

// All of these REQUIRE the host's GIL, and may throw what Python raises.

// Positional and keyword arguments of a call. kInvalidArgument, naming place and type of the
// value, when one cannot cross.
[[nodiscard]] Result<std::vector<Value>> ArgsFromPython(const HostPython& host,
                                                        const pybind11::tuple& args);
[[nodiscard]] Result<Kwargs> KwargsFromPython(const HostPython& host, const pybind11::dict& kwargs);

// Tensors share their memory with the result.
[[nodiscard]] pybind11::object ToPython(const HostPython& host, const Value& value);

}  // namespace torchdeploy
