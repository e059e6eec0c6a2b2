// A tensor in host memory or on a device, exchanged by DLPack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <dlpack/dlpack.h>

#include "torchdeploy/status.h"

namespace torchdeploy {

// A reference to one tensor; copies share the memory. An empty Tensor refers to none.
//
// Thread safety: handles may be copied and dropped on any thread; the last one to go
// releases the memory and never waits for an interpreter. The contents are not guarded.
//
// Source: DLPack 1.x (DLManagedTensorVersioned) decides dtypes, shapes and strides.
class Tensor {
 public:
  Tensor() = default;

  // Takes ownership of `managed`. REQUIRES: managed != nullptr.
  static Tensor FromDLPack(DLManagedTensorVersioned* managed);

  // A row-major CPU tensor over `data`, which `owner` keeps alive (null: the caller does,
  // for as long as any handle lives). Nothing is copied. `data` needs no alignment.
  // REQUIRES: extents >= 0; data holds the whole tensor.
  static Tensor View(void* data, DLDataType dtype, std::vector<int64_t> shape,
                     std::shared_ptr<const void> owner);

  // A new row-major CPU tensor, 64-byte aligned, contents undefined.
  // Fails with kInvalidArgument for a negative extent or a size over 2^63 - 1 bytes,
  // with kResourceExhausted when there is no such memory.
  static Result<Tensor> Allocate(DLDataType dtype, std::vector<int64_t> shape);

  [[nodiscard]] bool empty() const { return managed_ == nullptr; }

  // What follows REQUIRES: !empty().
  [[nodiscard]] const DLTensor& dl() const;
  [[nodiscard]] void* data() const;  // Address of the first element, byte_offset applied.
  [[nodiscard]] DLDataType dtype() const { return dl().dtype; }
  [[nodiscard]] DLDevice device() const { return dl().device; }
  [[nodiscard]] std::span<const int64_t> shape() const;
  [[nodiscard]] int64_t num_elements() const;
  [[nodiscard]] size_t size_bytes() const;  // num_elements() in row-major form.
  [[nodiscard]] bool is_contiguous() const;

  // Writes the elements in row-major order. REQUIRES: CPU; out.size() == size_bytes().
  void CopyTo(std::span<std::byte> out) const;

  // A row-major CPU copy with memory of its own. Fails as Allocate() does, and with
  // kUnimplemented when the tensor is not on the CPU.
  [[nodiscard]] Result<Tensor> Clone() const;

  // A new reference for a consumer that will call its deleter.
  [[nodiscard]] DLManagedTensorVersioned* ToDLPack() const;

 private:
  explicit Tensor(std::shared_ptr<DLManagedTensorVersioned> managed)
      : managed_(std::move(managed)) {}

  std::shared_ptr<DLManagedTensorVersioned> managed_;
};

// Bytes of one element; 0 for types of less than one byte.
[[nodiscard]] size_t ElementSizeBytes(DLDataType dtype);

}  // namespace torchdeploy
