// Tensors of the host's torch, by the C functions that torch offers for DLPack.
#pragma once

#include <optional>

#include <pybind11/pybind11.h>

#include "torchdeploy/tensor.h"

namespace torchdeploy {

// The short way for ordinary tensors, ten times as quick as torch's Python functions. Whatever
// is not ordinary takes the long way, by torchdeploy_pkg.host_values.
//
// All members REQUIRE the host's GIL.
//
// Source: DLPackExchangeAPI of DLPack 1.3, which torch.Tensor has since torch 2.10.
class HostTorch {
 public:
  HostTorch();

  // The memory of `object`; nothing unless it is a torch.Tensor and no subclass, on the CPU, of
  // a float, bfloat16 or bool dtype, or of integers of more than 8 bits, and shows its memory as it
  // is.
  [[nodiscard]] std::optional<Tensor> Take(pybind11::handle object) const;

  // `tensor` as a torch.Tensor; null unless torch is imported and takes it the short way.
  [[nodiscard]] pybind11::object Make(const Tensor& tensor) const;

 private:
  // The type torch.Tensor; null when torch is not imported.
  [[nodiscard]] pybind11::object TensorType() const;

  pybind11::object modules_;  // sys.modules
  pybind11::str torch_name_;
  pybind11::str tensor_name_;
  pybind11::str table_name_;
  pybind11::str is_neg_name_;
};

}  // namespace torchdeploy
