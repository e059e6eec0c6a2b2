// Tensors with one extent made longer, or shorter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy::server {

// Writes the tensor in row-major order as one that has `extent` in `dimension`: where its own
// elements end, copies of `element` follow. REQUIRES: a row-major CPU tensor, of elements of this
// size, with no greater extent there; out.size() is what the longer tensor takes.
void CopyPadded(const Tensor& tensor, int64_t dimension, int64_t extent, std::string_view element,
                std::span<std::byte> out);

// A new tensor: the first `extent` of `dimension`. kResourceExhausted when there is no memory for
// it. REQUIRES: as above, and no smaller extent there.
Result<Tensor> Cut(const Tensor& tensor, int64_t dimension, int64_t extent);

}  // namespace torchdeploy::server
