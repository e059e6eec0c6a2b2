// at::Tensor to Tensor and back, over the same memory.
#pragma once

#include <ATen/core/Tensor.h>

#include "torchdeploy/tensor.h"

namespace torch::deploy {

// Detached; what is conjugated or negated by a flag only is copied. std::runtime_error for a tensor
// that is not strided and dense or whose dtype DLPack does not have.
[[nodiscard]] torchdeploy::Tensor ToTensor(const at::Tensor& tensor);
[[nodiscard]] at::Tensor ToAtTensor(const torchdeploy::Tensor& tensor);

}  // namespace torch::deploy
