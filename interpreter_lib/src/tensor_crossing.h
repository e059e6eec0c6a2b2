// Tensors across the waist as DLPack, without a copy.
#pragma once

#include <Python.h>

#include <dlpack/dlpack.h>

#include "interpreter_lib/common/place.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

// All functions are called inside the interpreter unless they say otherwise.

// Whether `object` is a torch.Tensor (of any subclass).
[[nodiscard]] bool IsTensor(PyObject* object);

// TensorFromDlpack() as a torch.Tensor.
PyRef ImportTensor(DLManagedTensorVersioned* managed, const Place& place);

// The memory of a torch.Tensor, as ExportedTensor says. The deleter may be called on any thread,
// with or without an interpreter's lock, and hands the memory to `releases`, which must outlive it.
// Throws EngineError(TD_INVALID_ARGUMENT) where ExportedTensor throws CannotExport.
DLManagedTensorVersioned* ExportTensor(PyObject* object, ReleaseQueue& releases,
                                       const Place& place);

}  // namespace torchdeploy
