#include "python/torchdeploy_pkg/_bindings/dlpack_capsule.h"

#include <memory>
#include <string>
#include <utility>

#include <dlpack/dlpack.h>
#include <pybind11/pybind11.h>

#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include "python/torchdeploy_pkg/_bindings/host_tensor.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

// The two forms of DLPack, by what their producers hand over.
template <typename Managed>
struct CapsuleNames;
template <>
struct CapsuleNames<DLManagedTensor> {
  static constexpr const char* kFresh = "dltensor";
  static constexpr const char* kUsed = "used_dltensor";
};
template <>
struct CapsuleNames<DLManagedTensorVersioned> {
  static constexpr const char* kFresh = "dltensor_versioned";
  static constexpr const char* kUsed = "used_dltensor_versioned";
};

template <typename Managed>
void Delete(Managed* managed) {
  if (managed->deleter != nullptr) {
    managed->deleter(managed);
  }
}

template <typename Managed>
Tensor Take(py::handle capsule) {
  using Names = CapsuleNames<Managed>;
  auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Names::kFresh));
  Tensor tensor = TakeProduced(managed);
  PyCapsule_SetName(capsule.ptr(), Names::kUsed);  // From here on it is ours to delete.
  return tensor;
}

template <typename Managed>
py::object Make(Managed* managed) {
  using Names = CapsuleNames<Managed>;
  const auto delete_unused = [](PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, Names::kFresh) != 0) {
      Delete(static_cast<Managed*>(PyCapsule_GetPointer(capsule, Names::kFresh)));
    }
  };
  PyObject* const capsule = PyCapsule_New(managed, Names::kFresh, delete_unused);
  if (capsule == nullptr) {
    Delete(managed);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

// A reference for a consumer of DLPack before 1.0.
struct UnversionedTensor {
  explicit UnversionedTensor(Tensor shared) : tensor(std::move(shared)) {
    managed.dl_tensor = tensor.dl();
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensor* self) {
      const std::unique_ptr<UnversionedTensor> owned(
          static_cast<UnversionedTensor*>(self->manager_ctx));
    };
  }

  const Tensor tensor;
  DLManagedTensor managed;
};

}  // namespace

bool IsTensorCapsule(py::handle object) {
  return PyCapsule_IsValid(object.ptr(), CapsuleNames<DLManagedTensor>::kFresh) != 0 ||
         PyCapsule_IsValid(object.ptr(), CapsuleNames<DLManagedTensorVersioned>::kFresh) != 0;
}

Result<Tensor> TakeCapsule(py::handle capsule) {
  constexpr const char* kVersioned = CapsuleNames<DLManagedTensorVersioned>::kFresh;
  if (PyCapsule_IsValid(capsule.ptr(), kVersioned) == 0) {
    return Take<DLManagedTensor>(capsule);
  }
  // Only `version` may be read before the major version is known.
  const auto* const managed =
      static_cast<const DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), kVersioned));
  if (managed->version.major != DLPACK_MAJOR_VERSION) {
    return Status(Code::kInvalidArgument,
                  "a tensor of DLPack " + std::to_string(managed->version.major) +
                      " was passed; expected DLPack " + std::to_string(DLPACK_MAJOR_VERSION));
  }
  return Take<DLManagedTensorVersioned>(capsule);
}

py::object MakeCapsule(const Tensor& tensor, bool versioned) {
  if (versioned) {
    return Make(tensor.ToDLPack());
  }
  auto exported = std::make_unique<UnversionedTensor>(tensor);
  return Make(&exported.release()->managed);
}

}  // namespace torchdeploy
