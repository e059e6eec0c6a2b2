// Tensors across the waist as DLPack, without a copy.
#include "interpreter_lib/src/tensor_crossing.h"

#include <Python.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/DLConvertor.h>
#include <dlpack/dlpack.h>
#include <torch/csrc/autograd/python_variable.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/engine_error.h"
#include "interpreter_lib/src/place.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {
namespace {

// A tensor that the host holds, and what the host sees of it.
struct ExportedTensor : Releasable {
  ExportedTensor(at::Tensor exported, ReleaseQueue& queue)
      : tensor(std::move(exported)), releases(queue) {
    managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    managed.manager_ctx = this;
    managed.deleter = &Delete;
    managed.flags = 0;
    // Shape and strides point into `tensor`, which nobody else can resize.
    at::toDLPackNonOwning(tensor, &managed.dl_tensor);
  }

  // Dropping a tensor can run Python code, so it must wait for the interpreter.
  static void Delete(DLManagedTensorVersioned* self) {
    auto* const exported = static_cast<ExportedTensor*>(self->manager_ctx);
    exported->releases.Push(std::unique_ptr<Releasable>(exported));
  }

  const at::Tensor tensor;
  ReleaseQueue& releases;
  DLManagedTensorVersioned managed;
};

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

at::Tensor FromHost(const HostTensor& host) {
  if (host->version.major > DLPACK_MAJOR_VERSION) {
    throw EngineError(TD_INVALID_ARGUMENT, "DLPack " + std::to_string(host->version.major) +
                                               " is newer than " +
                                               std::to_string(DLPACK_MAJOR_VERSION));
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

[[noreturn]] void Refuse(PyObject* object, const Place& place, const std::string& reason) {
  const auto name = PyRef::Take(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__qualname__"));
  const char* const text = name ? PyUnicode_AsUTF8(name.get()) : nullptr;
  PyErr_Clear();
  throw EngineError(TD_INVALID_ARGUMENT, place.ToString() + " (" + (text ? text : "a tensor") +
                                             ") cannot cross: it is " + reason +
                                             "; a strided, dense tensor with memory can");
}

}  // namespace

bool IsTensor(PyObject* object) {
  return PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(THPVariableClass)) != 0;
}

PyRef ImportTensor(DLManagedTensorVersioned* managed, const Place& place) {
  try {
    return Take(THPVariable_Wrap(FromHost(Own(managed))));
  } catch (const c10::Error& error) {
    throw EngineError(TD_INVALID_ARGUMENT, place.ToString() + ": torch cannot take this tensor: " +
                                               error.what_without_backtrace());
  } catch (const EngineError& error) {
    throw EngineError(error.code(), place.ToString() + ": " + error.message());
  }
}

DLManagedTensorVersioned* ExportTensor(PyObject* object, ReleaseQueue& releases,
                                       const Place& place) {
  const at::Tensor& tensor = THPVariable_Unpack(object);
  if (const std::string reason = WhyNotPlain(tensor); !reason.empty()) {
    Refuse(object, place, reason);
  }
  const auto reason_of_dlpack = [&] {
    return "of dtype torch." + std::string(c10::getDtypeNames(tensor.scalar_type()).first) +
           " on device " + tensor.device().str() + ", which DLPack does not have";
  };
  try {
    const at::NoGradGuard no_grad;
    // variable_data() detaches without a view relation and without a Python wrapper.
    auto exported = std::make_unique<ExportedTensor>(Resolved(tensor).variable_data(), releases);
    // torch exports some of its dtypes as others.
    if (at::toScalarType(exported->managed.dl_tensor.dtype) != tensor.scalar_type()) {
      Refuse(object, place, reason_of_dlpack());
    }
    return &exported.release()->managed;
  } catch (const c10::Error&) {
    Refuse(object, place, reason_of_dlpack());
  }
}

bool IsAliased(const DLManagedTensorVersioned& exported) {
  const at::Tensor& tensor = static_cast<ExportedTensor*>(exported.manager_ctx)->tensor;
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
