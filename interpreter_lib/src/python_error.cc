// Python exceptions as C++ ones, and as errors of the waist.
#include "interpreter_lib/src/python_error.h"

#include <Python.h>

#include <string>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/src/py_ref.h"

namespace torchdeploy {
namespace {

PyRef FetchException() {
#if PY_VERSION_HEX >= 0x030C0000
  return PyRef::Take(PyErr_GetRaisedException());
#else
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) {
    PyException_SetTraceback(value, traceback);
  }
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return PyRef::Take(value);
#endif
}

}  // namespace

void ThrowPythonError() {
  throw PythonError(FetchException());
}

PyRef Take(PyObject* object) {
  if (object == nullptr) {
    ThrowPythonError();
  }
  return PyRef::Take(object);
}

void Check(int result) {
  if (result < 0) {
    ThrowPythonError();
  }
}

EngineError DescribePythonError(const PythonError& error, PyObject* describe) {
  PyObject* const exception = error.exception().get();
  if (describe != nullptr) {
    const PyRef described = PyRef::Take(PyObject_CallOneArg(describe, exception));
    int code = TD_UNKNOWN;
    const char* type = nullptr;
    const char* message = nullptr;
    const char* traceback = nullptr;
    if (described &&
        PyArg_ParseTuple(described.get(), "iyyy", &code, &type, &message, &traceback) != 0) {
      return {static_cast<td_code>(code), message, type, traceback};
    }
    PyErr_Clear();
  }
  return {TD_UNKNOWN, "the exception could not be described", Py_TYPE(exception)->tp_name, ""};
}

}  // namespace torchdeploy
