// Tensors across the waist as DLPack, without a copy.
#pragma once

#include <Python.h>

#include <dlpack/dlpack.h>

#include "interpreter_lib/src/place.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

// All functions are called inside the interpreter unless they say otherwise.

// Whether `object` is a torch.Tensor (of any subclass).
[[nodiscard]] bool IsTensor(PyObject* object);

// A torch.Tensor over the memory of `managed`, which is consumed also on failure. Read-only
// memory and memory that is not aligned for its dtype are copied, because Python code may
// write to any tensor and torch expects aligned elements.
// Throws EngineError(TD_INVALID_ARGUMENT) when torch has no such tensor.
PyRef ImportTensor(DLManagedTensorVersioned* managed, const Place& place);

// The memory of a torch.Tensor as DLPack; conjugate and negative views are resolved, requires_grad
// is dropped. The deleter may be called on any thread, with or without an interpreter's lock,
// and hands the memory to `releases`, which must outlive it.
// Throws EngineError(TD_INVALID_ARGUMENT) for what is not strided, dense and materialised.
DLManagedTensorVersioned* ExportTensor(PyObject* object, ReleaseQueue& releases,
                                       const Place& place);

// Whether anything besides `exported` (from ExportTensor) can reach its memory.
[[nodiscard]] bool IsAliased(const DLManagedTensorVersioned& exported);

}  // namespace torchdeploy
