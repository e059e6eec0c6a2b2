#include "runtime/compat/src/tensor_crossing.h"

#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <ATen/DLConvertor.h>
#include <c10/core/GradMode.h>

#include "torchdeploy/tensor.h"

namespace torch::deploy {

namespace {

// Why the memory of `tensor` is not a plain strided array, or "" when it is.
std::string WhyNotPlain(const at::Tensor& tensor) {
  if (tensor.is_nested()) {
    return "it is nested";
  }
  if (tensor.layout() != at::kStrided) {
    return "its layout is " + c10::str(tensor.layout());
  }
  if (tensor.is_quantized()) {
    return "it is quantized";
  }
  if (tensor.is_meta()) {
    return "it is on the meta device";
  }
  if (tensor._is_zerotensor() || !tensor.has_storage()) {
    return "it has no memory";
  }
  return "";
}

[[noreturn]] void Refuse(const std::string& reason) {
  throw std::runtime_error("This tensor cannot cross, for " + reason +
                           "; a strided, dense tensor with memory can.");
}

[[noreturn]] void RefuseDtype(const at::Tensor& tensor) {
  Refuse("DLPack does not have dtype " + c10::str(tensor.scalar_type()) + " on device " +
         tensor.device().str());
}

}  // namespace

torchdeploy::Tensor ToTensor(const at::Tensor& tensor) {
  if (const std::string reason = WhyNotPlain(tensor); !reason.empty()) {
    Refuse(reason);
  }
  try {
    const c10::NoGradGuard no_grad;
    auto crossed = torchdeploy::Tensor::FromDLPack(
        at::toDLPackVersioned(tensor.resolve_conj().resolve_neg().detach()));
    // torch exports some of its dtypes as others.
    if (at::toScalarType(crossed.dtype()) != tensor.scalar_type()) {
      RefuseDtype(tensor);
    }
    return crossed;
  } catch (const c10::Error&) {
    RefuseDtype(tensor);
  }
}

at::Tensor ToAtTensor(const torchdeploy::Tensor& tensor) {
  DLManagedTensorVersioned view = {.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION},
                                   .manager_ctx = nullptr,
                                   .deleter = nullptr,
                                   .flags = 0,
                                   .dl_tensor = tensor.dl()};
  // torch ignores the offset.
  view.dl_tensor.data = tensor.data();
  view.dl_tensor.byte_offset = 0;
  try {
    return at::fromDLPackVersioned(&view, [tensor](void*) {});
  } catch (const c10::Error& error) {
    throw std::runtime_error(std::string("torch cannot take this tensor: ") +
                             error.what_without_backtrace());
  }
}

}  // namespace torch::deploy
