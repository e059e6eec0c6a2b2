// Tensors as the capsules of Python's DLPack protocol.
#pragma once

#include <string>

#include <pybind11/pybind11.h>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

// All of these REQUIRE the host's GIL.
//
// Source: the Python specification of DLPack 1.x: names and consumption of capsules.

// Whether `object` is a DLPack capsule that nobody has consumed.
[[nodiscard]] bool IsTensorCapsule(pybind11::handle object);

// Consumes the capsule. The last handle of the tensor never waits for the host's GIL: the
// producer's deleter runs through OwnerReleases. kInvalidArgument: a major version of DLPack
// that is not known here. REQUIRES: IsTensorCapsule(capsule).
[[nodiscard]] Result<Tensor> TakeCapsule(pybind11::handle capsule);

// A new capsule over the tensor's memory; in the form of DLPack before 1.0 unless `versioned`.
[[nodiscard]] pybind11::object MakeCapsule(const Tensor& tensor, bool versioned);

}  // namespace torchdeploy
