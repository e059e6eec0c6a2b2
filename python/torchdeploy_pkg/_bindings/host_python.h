// What the binding asks of the Python code around it.
#pragma once

#include <utility>

#include <pybind11/pybind11.h>

#include "torchdeploy/status.h"

#include "python/torchdeploy_pkg/_bindings/host_torch.h"

namespace torchdeploy {

// The functions of torchdeploy_pkg.runtime that know torch, numpy and the exceptions.
// Source: class Host in _native.pyi. Used, copied and dropped with the host's GIL held.
struct HostPython {
  explicit HostPython(const pybind11::object& host);

  pybind11::object as_plain;
  pybind11::object adopt;
  pybind11::object make_error;
  HostTorch torch;

  // Raises the exception of `status`. REQUIRES: !status.ok().
  [[noreturn]] void Raise(const Status& status) const;

  // The exception of `status`. REQUIRES: !status.ok().
  [[nodiscard]] pybind11::object ErrorOf(const Status& status) const;
};

// The value, or the exception of the status.
template <typename T>
T ValueOrRaise(const HostPython& host, Result<T> result) {
  if (!result.ok()) {
    host.Raise(result.status());
  }
  return *std::move(result);
}

}  // namespace torchdeploy
