// torch's tensors as DLPack, and the other way round, without a copy.
#pragma once

#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <dlpack/dlpack.h>

#include "interpreter_lib/common/place.h"

namespace torchdeploy {

// A tensor over the memory of `managed`, which is consumed also on failure. Read-only memory and
// memory that is not aligned for its dtype are copied, because a model may write to any tensor
// and torch expects aligned elements.
// Throws EngineError(TD_INVALID_ARGUMENT), naming `place`, when torch has no such tensor.
at::Tensor TensorFromDlpack(DLManagedTensorVersioned* managed, const Place& place);

// Why a tensor cannot cross.
class CannotExport : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A tensor that the host holds, and what the host sees of it. Conjugate and negative views are
// resolved, requires_grad is dropped.
class ExportedTensor {
 public:
  // Throws CannotExport for what is not strided, dense and materialised, and for a dtype or a
  // device that DLPack does not have.
  explicit ExportedTensor(const at::Tensor& tensor);
  ExportedTensor(const ExportedTensor&) = delete;
  ExportedTensor& operator=(const ExportedTensor&) = delete;
  virtual ~ExportedTensor() = default;

  // Its deleter calls Release(), on any thread.
  [[nodiscard]] DLManagedTensorVersioned* managed() { return &managed_; }

 protected:
  // The host needs it no more: whoever made it is to destroy it.
  virtual void Release();

 private:
  friend bool IsAliased(const DLManagedTensorVersioned& exported);

  const at::Tensor tensor_;
  DLManagedTensorVersioned managed_;
};

// Whether anything besides `exported` (of an ExportedTensor) can reach its memory.
[[nodiscard]] bool IsAliased(const DLManagedTensorVersioned& exported);

}  // namespace torchdeploy
