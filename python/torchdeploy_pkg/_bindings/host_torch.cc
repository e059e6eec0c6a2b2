#include "python/torchdeploy_pkg/_bindings/host_torch.h"

#include <optional>

#include <dlpack/dlpack.h>
#include <pybind11/pybind11.h>

#include "torchdeploy/tensor.h"

#include "python/torchdeploy_pkg/_bindings/host_tensor.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

// The reference, or null for an error, which is forgotten.
py::object StealOrNull(PyObject* reference) {
  if (reference == nullptr) {
    PyErr_Clear();
  }
  return py::reinterpret_steal<py::object>(reference);
}

py::str Interned(const char* name) {
  return py::reinterpret_steal<py::str>(PyUnicode_InternFromString(name));
}

// Null when this torch has none that is known here.
const DLPackExchangeAPI* TableOf(const py::object& tensor_type, const py::str& name) {
  const py::object capsule = StealOrNull(PyObject_GetAttr(tensor_type.ptr(), name.ptr()));
  if (!capsule || PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api") == 0) {
    return nullptr;
  }
  const auto* const table = static_cast<const DLPackExchangeAPI*>(
      PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  return table->header.version.major == DLPACK_MAJOR_VERSION ? table : nullptr;
}

// torch's dtypes of less than a byte look like int8 and uint8 here.
bool IsOrdinary(DLDataType dtype) {
  switch (dtype.code) {
    case kDLFloat:
    case kDLBfloat:
    case kDLBool:
      return dtype.lanes == 1;
    case kDLInt:
    case kDLUInt:
      return dtype.lanes == 1 && dtype.bits > 8;
    default:
      return false;
  }
}

// Not without memory, as torch's efficient zeros are.
bool IsOrdinary(const DLTensor& tensor) {
  return tensor.device.device_type == kDLCPU && tensor.data != nullptr && IsOrdinary(tensor.dtype);
}

}  // namespace

HostTorch::HostTorch()
    : modules_(py::reinterpret_borrow<py::object>(PyImport_GetModuleDict())),
      torch_name_(Interned("torch")),
      tensor_name_(Interned("Tensor")),
      table_name_(Interned("__dlpack_c_exchange_api__")),
      is_neg_name_(Interned("is_neg")) {}

std::optional<Tensor> HostTorch::Take(py::handle object) const {
  const py::object type = TensorType();
  if (!type || !py::type::handle_of(object).is(type)) {
    return std::nullopt;
  }
  const DLPackExchangeAPI* const table = TableOf(type, table_name_);
  // The table's functions do not look at the negative bit; no ordinary dtype has a conjugate one.
  const py::object is_neg =
      StealOrNull(PyObject_CallMethodNoArgs(object.ptr(), is_neg_name_.ptr()));
  if (table == nullptr || !is_neg.is(py::handle(Py_False))) {
    return std::nullopt;
  }
  DLTensor view;
  DLManagedTensorVersioned* produced = nullptr;
  if (table->dltensor_from_py_object_no_sync(object.ptr(), &view) != 0 || !IsOrdinary(view) ||
      table->managed_tensor_from_py_object_no_sync(object.ptr(), &produced) != 0) {
    PyErr_Clear();  // If it failed, the long way does, too, and says why.
    return std::nullopt;
  }
  return TakeProduced(produced);
}

py::object HostTorch::Make(const Tensor& tensor) const {
  if (!IsOrdinary(tensor.dl())) {
    return {};
  }
  const py::object type = TensorType();
  const DLPackExchangeAPI* const table = type ? TableOf(type, table_name_) : nullptr;
  if (table == nullptr) {
    return {};
  }
  void* made = nullptr;
  if (table->managed_tensor_to_py_object_no_sync(tensor.ToDLPack(), &made) != 0) {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(static_cast<PyObject*>(made));
}

py::object HostTorch::TensorType() const {
  PyObject* const torch = PyDict_GetItemWithError(modules_.ptr(), torch_name_.ptr());
  // While torch is being imported it may have no Tensor yet.
  return torch == nullptr ? py::object() : StealOrNull(PyObject_GetAttr(torch, tensor_name_.ptr()));
}

}  // namespace torchdeploy
