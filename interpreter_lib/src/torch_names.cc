// torch.device, torch.dtype and torch.layout by name.
#include "interpreter_lib/src/torch_names.h"

#include <Python.h>

#include <optional>
#include <string>

#include <torch/csrc/Device.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Layout.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"

namespace torchdeploy {

std::optional<TorchName> NameOfTorchObject(PyObject* object) {
  if (THPDevice_Check(object)) {
    return TorchName{TD_KIND_DEVICE, reinterpret_cast<THPDevice*>(object)->device.str()};
  }
  if (THPDtype_Check(object)) {
    return TorchName{TD_KIND_DTYPE, reinterpret_cast<THPDtype*>(object)->name};
  }
  if (THPLayout_Check(object)) {
    const std::string name = reinterpret_cast<THPLayout*>(object)->name;
    return TorchName{TD_KIND_LAYOUT, name.substr(name.find('.') + 1)};
  }
  return std::nullopt;
}

PyRef TorchObjectOfName(const TorchName& name) {
  const PyRef torch = Take(PyImport_ImportModule("torch"));
  PyTypeObject* type = &THPDeviceType;
  PyRef found;
  if (name.kind == TD_KIND_DEVICE) {
    found = PyRef::Take(PyObject_CallMethod(torch.get(), "device", "s", name.name.c_str()));
  } else {
    type = name.kind == TD_KIND_DTYPE ? &THPDtypeType : &THPLayoutType;
    found = PyRef::Take(PyObject_GetAttrString(torch.get(), name.name.c_str()));
  }
  PyErr_Clear();
  return found && Py_IS_TYPE(found.get(), type) ? found : PyRef();
}

}  // namespace torchdeploy
