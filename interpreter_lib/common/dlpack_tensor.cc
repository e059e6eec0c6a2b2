#include "interpreter_lib/common/dlpack_tensor.h"

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/ATen.h>
#include <ATen/DLConvertor.h>
#include <ATen/core/grad_mode.h>
#include <dlpack/dlpack.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"

namespace torchdeploy {
namespace {

// Owns what the host handed over; torch keeps copies of it as the tensor's deleter.
using HostTensor = std::shared_ptr<DLManagedTensorVersioned>;

HostTensor Own(DLManagedTensorVersioned* managed) {
  return {managed, [](DLManagedTensorVersioned* owned) {
            if (owned->deleter != nullptr) {
              owned->deleter(owned);
            }
          }};
}

bool IsAligned(const at::Tensor& tensor) {
  const auto alignment = static_cast<uintptr_t>(tensor.is_complex() ? tensor.element_size() / 2
                                                                    : tensor.element_size());
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % alignment == 0;
}

at::Tensor FromHost(const HostTensor& host, const Place& place) {
  if (host->version.major > DLPACK_MAJOR_VERSION) {
    throw EngineError(TD_INVALID_ARGUMENT,
                      place.ToString() + ": DLPack " + std::to_string(host->version.major) +
                          " is newer than " + std::to_string(DLPACK_MAJOR_VERSION));
  }
  DLManagedTensorVersioned view = *host;
  // torch ignores the offset.
  view.dl_tensor.data = static_cast<char*>(view.dl_tensor.data) + view.dl_tensor.byte_offset;
  view.dl_tensor.byte_offset = 0;
  at::Tensor tensor = at::fromDLPackVersioned(&view, [host](void*) {});
  const bool writable = (host->flags & DLPACK_FLAG_BITMASK_READ_ONLY) == 0;
  return writable && IsAligned(tensor) ? tensor : tensor.clone();
}

// Why the memory of `tensor` is not a plain strided array, or "" when it is.
std::string WhyNotPlain(const at::Tensor& tensor) {
  const c10::DispatchKeySet keys = tensor.key_set();
  if (tensor.is_nested()) {
    return "a nested tensor";
  }
  if (tensor.layout() != at::kStrided) {
    return "a tensor of layout " + c10::str(tensor.layout());
  }
  if (keys.has(c10::DispatchKey::Python)) {
    return "a tensor subclass without plain memory of its own";
  }
  if (tensor.is_quantized()) {
    return "a quantized tensor";
  }
  if (tensor.is_meta()) {
    return "a tensor on the meta device";
  }
  if (keys.has_any(c10::DispatchKeySet({c10::DispatchKey::FuncTorchBatched,
                                        c10::DispatchKey::FuncTorchGradWrapper,
                                        c10::DispatchKey::Functionalize}))) {
    return "a tensor wrapped by a torch.func transform";
  }
  if (tensor._is_zerotensor() || !tensor.has_storage() ||
      (tensor.numel() > 0 && tensor.storage().data() == nullptr)) {
    return "a tensor without memory";
  }
  return "";
}

// With the conjugate and negative bits in the memory. To ask torch when there are none takes as
// long as all else.
at::Tensor Resolved(const at::Tensor& tensor) {
  return tensor.is_conj() || tensor.is_neg() ? tensor.resolve_conj().resolve_neg() : tensor;
}

// Detached, without a view relation and without a Python wrapper.
at::Tensor Detached(const at::Tensor& tensor) {
  if (const std::string reason = WhyNotPlain(tensor); !reason.empty()) {
    throw CannotExport(reason);
  }
  const at::NoGradGuard no_grad;
  return Resolved(tensor).variable_data();
}

[[noreturn]] void RefuseDtypeOrDevice(const at::Tensor& tensor) {
  throw CannotExport("of dtype torch." +
                     std::string(c10::getDtypeNames(tensor.scalar_type()).first) + " on device " +
                     tensor.device().str() + ", which DLPack does not have");
}

}  // namespace

at::Tensor TensorFromDlpack(DLManagedTensorVersioned* managed, const Place& place) {
  try {
    return FromHost(Own(managed), place);
  } catch (const c10::Error& error) {
    throw EngineError(TD_INVALID_ARGUMENT, place.ToString() + ": torch cannot take this tensor: " +
                                               error.what_without_backtrace());
  }
}

ExportedTensor::ExportedTensor(const at::Tensor& tensor) : tensor_(Detached(tensor)) {
  managed_.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  managed_.manager_ctx = this;
  managed_.flags = 0;
  managed_.deleter = [](DLManagedTensorVersioned* self) {
    static_cast<ExportedTensor*>(self->manager_ctx)->Release();
  };
  try {
    // Shape and strides point into the tensor, which nobody else can resize.
    at::toDLPackNonOwning(tensor_, &managed_.dl_tensor);
    // torch exports some of its dtypes as others.
    if (at::toScalarType(managed_.dl_tensor.dtype) == tensor_.scalar_type()) {
      return;
    }
  } catch (const c10::Error&) {
    RefuseDtypeOrDevice(tensor_);
  }
  RefuseDtypeOrDevice(tensor_);
}

void ExportedTensor::Release() {
  const std::unique_ptr<ExportedTensor> owner(this);
}

bool IsAliased(const DLManagedTensorVersioned& exported) {
  const at::Tensor& tensor = static_cast<ExportedTensor*>(exported.manager_ctx)->tensor_;
  if (tensor.numel() == 0) {
    return false;
  }
  const c10::Storage& storage = tensor.storage();
  // Memory that torch did not allocate (the host's, numpy's, a mapped file's) has an owner
  // whose other references cannot be counted.
  const auto* const allocator = c10::GetAllocator(storage.device_type());
  return storage.use_count() != 1 || storage.data_ptr().get_deleter() != allocator->raw_deleter();
}

}  // namespace torchdeploy
