// Tensors across the waist as DLPack, without a copy.
#include "interpreter_lib/src/tensor_crossing.h"

#include <Python.h>

#include <memory>
#include <string>

#include <ATen/core/Tensor.h>
#include <dlpack/dlpack.h>
#include <torch/csrc/autograd/python_variable.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/dlpack_tensor.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {
namespace {

// Dropping a tensor can run Python code, so it must wait for the interpreter.
class QueuedTensor : public ExportedTensor, public Releasable {
 public:
  QueuedTensor(const at::Tensor& tensor, ReleaseQueue& releases)
      : ExportedTensor(tensor), releases_(releases) {}

 private:
  void Release() override { releases_.Push(std::unique_ptr<Releasable>(this)); }

  ReleaseQueue& releases_;
};

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
  return Take(THPVariable_Wrap(TensorFromDlpack(managed, place)));
}

DLManagedTensorVersioned* ExportTensor(PyObject* object, ReleaseQueue& releases,
                                       const Place& place) {
  try {
    return std::make_unique<QueuedTensor>(THPVariable_Unpack(object), releases)
        .release()
        ->managed();
  } catch (const CannotExport& reason) {
    Refuse(object, place, reason.what());
  }
}

}  // namespace torchdeploy
