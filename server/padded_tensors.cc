#include "server/padded_tensors.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy::server {

namespace {

// What lies side by side in memory, from `dimension` on.
size_t BlockBytes(std::span<const int64_t> shape, int64_t dimension, size_t element_bytes) {
  return std::accumulate(
      shape.begin() + dimension, shape.end(), element_bytes,
      [](size_t bytes, int64_t extent) { return bytes * static_cast<size_t>(extent); });
}

size_t CountBlocks(std::span<const int64_t> shape, int64_t dimension) {
  return BlockBytes(shape.first(static_cast<size_t>(dimension)), 0, 1);
}

// REQUIRES: out.size() is a multiple of the element's size.
void Fill(std::span<std::byte> out, std::string_view element) {
  if (out.empty()) {
    return;
  }
  std::memcpy(out.data(), element.data(), element.size());
  for (size_t filled = element.size(); filled < out.size(); filled *= 2) {
    std::memcpy(out.data() + filled, out.data(), std::min(filled, out.size() - filled));
  }
}

}  // namespace

void CopyPadded(const Tensor& tensor, int64_t dimension, int64_t extent, std::string_view element,
                std::span<std::byte> out) {
  std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
  const size_t own_bytes = BlockBytes(shape, dimension, element.size());
  shape[static_cast<size_t>(dimension)] = extent;
  const size_t padded_bytes = BlockBytes(shape, dimension, element.size());
  const auto* from = static_cast<const std::byte*>(tensor.data());
  for (size_t block = CountBlocks(shape, dimension); block > 0; --block) {
    if (own_bytes > 0) {
      std::memcpy(out.data(), from, own_bytes);
      from += own_bytes;
    }
    Fill(out.subspan(own_bytes, padded_bytes - own_bytes), element);
    out = out.subspan(padded_bytes);
  }
}

Result<Tensor> Cut(const Tensor& tensor, int64_t dimension, int64_t extent) {
  std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
  const size_t element_bytes = ElementSizeBytes(tensor.dtype());
  const size_t whole_bytes = BlockBytes(shape, dimension, element_bytes);
  shape[static_cast<size_t>(dimension)] = extent;
  const size_t kept_bytes = BlockBytes(shape, dimension, element_bytes);
  const size_t blocks = CountBlocks(shape, dimension);
  Result<Tensor> cut = Tensor::Allocate(tensor.dtype(), std::move(shape));
  if (!cut.ok() || kept_bytes == 0) {
    return cut;
  }
  const auto* from = static_cast<const std::byte*>(tensor.data());
  auto* to = static_cast<std::byte*>(cut->data());
  for (size_t block = 0; block < blocks; ++block) {
    std::memcpy(to + block * kept_bytes, from + block * whole_bytes, kept_bytes);
  }
  return cut;
}

}  // namespace torchdeploy::server
