// torch.device, torch.dtype and torch.layout by name.
#pragma once

#include <Python.h>

#include <optional>
#include <string>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/src/py_ref.h"

namespace torchdeploy {

// All functions are called inside the interpreter.

struct TorchName {
  td_kind kind;  // DEVICE, DTYPE or LAYOUT.
  std::string name;
};

// Nothing when `object` is none of the three.
[[nodiscard]] std::optional<TorchName> NameOfTorchObject(PyObject* object);

// The object of that kind and name; a null reference, without a Python error, when torch has
// none.
[[nodiscard]] PyRef TorchObjectOfName(const TorchName& name);

}  // namespace torchdeploy
