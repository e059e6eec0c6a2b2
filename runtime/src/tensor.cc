// Tensors over DLPack: sharing, measuring and copying.
#include "torchdeploy/tensor.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>

#include "runtime/src/invariant.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr size_t kAlignmentBytes = 64;
constexpr DLPackVersion kVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};

// A tensor of this library's own making, with what its pointers refer to.
struct OwnTensor {
  // NOLINTNEXTLINE(bugprone-invalid-enum-default-initialization): View() sets the device.
  DLManagedTensorVersioned managed{};
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::shared_ptr<const void> owner;
};

// A reference that a consumer holds.
struct ExportedTensor {
  DLManagedTensorVersioned managed;
  std::shared_ptr<DLManagedTensorVersioned> source;
};

// Wraps where the product overflows, which only an empty tensor's may.
std::vector<int64_t> RowMajorStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  uint64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = static_cast<int64_t>(stride);
    stride *= static_cast<uint64_t>(shape[i]);
  }
  return strides;
}

bool IsPacked(DLDataType dtype, uint64_t flags) {
  return ElementSizeBytes(dtype) == 0 && (flags & DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED) == 0;
}

// Bits from one element to the next in memory.
uint64_t ElementPitchBits(DLDataType dtype, uint64_t flags) {
  const size_t bytes = ElementSizeBytes(dtype);
  if (bytes > 0) {
    return uint64_t{bytes} * 8;
  }
  return IsPacked(dtype, flags) ? uint64_t{dtype.bits} * dtype.lanes : 8;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t extent : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  }
  return text + "]";
}

Status TooLarge(const std::vector<int64_t>& shape) {
  return {Code::kInvalidArgument,
          "A tensor of shape " + ShapeText(shape) + " has more than 2^63 - 1 bytes."};
}

Result<size_t> CheckedSizeBytes(DLDataType dtype, const std::vector<int64_t>& shape) {
  bool none = false;
  for (const int64_t extent : shape) {
    if (extent < 0) {
      return Status(Code::kInvalidArgument,
                    "The shape " + ShapeText(shape) + " has a negative extent.");
    }
    none = none || extent == 0;
  }
  if (none) {
    return size_t{0};
  }
  constexpr auto kMax = static_cast<unsigned __int128>(std::numeric_limits<int64_t>::max());
  unsigned __int128 count = 1;
  for (const int64_t extent : shape) {
    count *= static_cast<unsigned __int128>(extent);  // Both factors are below 2^63.
    if (count > kMax) {
      return TooLarge(shape);
    }
  }
  const unsigned __int128 bytes = (count * ElementPitchBits(dtype, 0) + 7) / 8;
  if (bytes > kMax) {
    return TooLarge(shape);
  }
  return static_cast<size_t>(bytes);
}

// Copies the elements from dimension `dim` on to `out`; returns the end of what it wrote.
std::byte* CopyStrided(const DLTensor& tensor, int32_t dim, const std::byte* from, std::byte* out,
                       size_t element_bytes) {
  if (dim == tensor.ndim) {
    std::memcpy(out, from, element_bytes);
    return out + element_bytes;
  }
  const int64_t extent = tensor.shape[dim];
  if (dim + 1 == tensor.ndim && tensor.strides[dim] == 1) {
    const size_t bytes = static_cast<size_t>(extent) * element_bytes;
    std::memcpy(out, from, bytes);
    return out + bytes;
  }
  const ptrdiff_t step = tensor.strides[dim] * static_cast<ptrdiff_t>(element_bytes);
  for (int64_t i = 0; i < extent; ++i) {
    out = CopyStrided(tensor, dim + 1, from + i * step, out, element_bytes);
  }
  return out;
}

}  // namespace

size_t ElementSizeBytes(DLDataType dtype) {
  const size_t bits = size_t{dtype.bits} * dtype.lanes;
  return bits < 8 ? 0 : (bits + 7) / 8;
}

Tensor Tensor::FromDLPack(DLManagedTensorVersioned* managed) {
  return Tensor(
      std::shared_ptr<DLManagedTensorVersioned>(managed, [](DLManagedTensorVersioned* tensor) {
        if (tensor->deleter != nullptr) {
          tensor->deleter(tensor);
        }
      }));
}

Tensor Tensor::View(void* data, DLDataType dtype, std::vector<int64_t> shape,
                    std::shared_ptr<const void> owner) {
  auto own = std::make_shared<OwnTensor>();
  own->shape = std::move(shape);
  own->strides = RowMajorStrides(own->shape);
  own->owner = std::move(owner);
  own->managed.version = kVersion;
  DLTensor& dl = own->managed.dl_tensor;
  dl.data = data;
  dl.device = {kDLCPU, 0};
  dl.ndim = static_cast<int32_t>(own->shape.size());
  dl.dtype = dtype;
  dl.shape = own->shape.data();
  dl.strides = own->strides.data();
  DLManagedTensorVersioned* const managed = &own->managed;
  return Tensor(std::shared_ptr<DLManagedTensorVersioned>(std::move(own), managed));
}

Result<Tensor> Tensor::Allocate(DLDataType dtype, std::vector<int64_t> shape) {
  const Result<size_t> size = CheckedSizeBytes(dtype, shape);
  if (!size.ok()) {
    return size.status();
  }
  if (*size == 0) {
    return View(nullptr, dtype, std::move(shape), nullptr);
  }
  constexpr std::align_val_t kAlignment{kAlignmentBytes};
  void* const memory = ::operator new(*size, kAlignment, std::nothrow);
  if (memory == nullptr) {
    return Status(Code::kResourceExhausted, "There is no memory for a tensor of shape " +
                                                ShapeText(shape) + " (" + std::to_string(*size) +
                                                " bytes).");
  }
  std::shared_ptr<const void> owner(memory, [](void* p) { ::operator delete(p, kAlignment); });
  return View(memory, dtype, std::move(shape), std::move(owner));
}

const DLTensor& Tensor::dl() const {
  return managed_->dl_tensor;
}

void* Tensor::data() const {
  if (dl().data == nullptr) {
    return nullptr;  // Of an empty tensor, where adding an offset would be undefined.
  }
  return static_cast<std::byte*>(dl().data) + dl().byte_offset;
}

std::span<const int64_t> Tensor::shape() const {
  return {dl().shape, static_cast<size_t>(dl().ndim)};
}

int64_t Tensor::num_elements() const {
  // Unsigned, because extents beside a zero may overflow the product.
  uint64_t count = 1;
  for (const int64_t extent : shape()) {
    count *= static_cast<uint64_t>(extent);
    if (extent == 0) {
      return 0;
    }
  }
  return static_cast<int64_t>(count);
}

size_t Tensor::size_bytes() const {
  const auto count = static_cast<uint64_t>(num_elements());
  const size_t element_bytes = ElementSizeBytes(dtype());
  if (element_bytes > 0) {
    return count * element_bytes;
  }
  return (count * ElementPitchBits(dtype(), managed_->flags) + 7) / 8;
}

bool Tensor::is_contiguous() const {
  // DLPack before 1.2 marks a row-major tensor by null strides.
  if (dl().strides == nullptr || num_elements() == 0) {
    return true;
  }
  int64_t expected = 1;
  for (int32_t i = dl().ndim; i-- > 0;) {
    const int64_t extent = dl().shape[i];
    if (extent != 1 && dl().strides[i] != expected) {
      return false;
    }
    expected *= extent;
  }
  return true;
}

void Tensor::CopyTo(std::span<std::byte> out) const {
  if (device().device_type != kDLCPU || out.size() != size_bytes()) {
    AbortBroken("Tensor::CopyTo needs a tensor on the CPU and size_bytes() bytes of room.");
  }
  if (out.empty()) {
    return;
  }
  const auto* from = static_cast<const std::byte*>(data());
  if (is_contiguous()) {
    std::memcpy(out.data(), from, out.size());
    return;
  }
  if (IsPacked(dtype(), managed_->flags)) {
    AbortBroken("Tensor::CopyTo of packed elements of less than one byte needs contiguous ones.");
  }
  CopyStrided(dl(), 0, from, out.data(), ElementPitchBits(dtype(), managed_->flags) / 8);
}

Result<Tensor> Tensor::Clone() const {
  if (device().device_type != kDLCPU) {
    return Status(Code::kUnimplemented,
                  "A tensor on DLPack device type " + std::to_string(device().device_type) +
                      " cannot be copied by the host: return a CPU tensor, or one that shares no "
                      "memory with the model.");
  }
  if (IsPacked(dtype(), managed_->flags) && !is_contiguous()) {
    return Status(Code::kUnimplemented,
                  "A tensor of packed elements of less than one byte cannot be copied unless it is "
                  "contiguous.");
  }
  const bool padded = ElementSizeBytes(dtype()) == 0 && !IsPacked(dtype(), managed_->flags);
  Result<Tensor> copy =
      Allocate(padded ? DLDataType{kDLUInt, 8, 1} : dtype(), {shape().begin(), shape().end()});
  if (copy.ok()) {
    copy->managed_->dl_tensor.dtype = dtype();
    copy->managed_->flags = managed_->flags & DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED;
    CopyTo({static_cast<std::byte*>(copy->data()), size_bytes()});
  }
  return copy;
}

DLManagedTensorVersioned* Tensor::ToDLPack() const {
  auto exported = std::make_unique<ExportedTensor>();
  exported->source = managed_;
  exported->managed = *managed_;
  exported->managed.manager_ctx = exported.get();
  exported->managed.deleter = [](DLManagedTensorVersioned* self) {
    const std::unique_ptr<ExportedTensor> owned(static_cast<ExportedTensor*>(self->manager_ctx));
  };
  return &exported.release()->managed;
}

}  // namespace torchdeploy
