// Python exceptions as C++ ones, and as errors of the waist.
#pragma once

#include <Python.h>

#include <exception>
#include <utility>

#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/src/py_ref.h"

namespace torchdeploy {

// A Python exception that was fetched: Python's error indicator is clear. Caught and
// destroyed inside the interpreter that raised it.
class PythonError : public std::exception {
 public:
  explicit PythonError(PyRef exception) : exception_(std::move(exception)) {}

  [[nodiscard]] const char* what() const noexcept override { return "a Python exception"; }
  [[nodiscard]] const PyRef& exception() const { return exception_; }

 private:
  PyRef exception_;
};

// REQUIRES: Python's error indicator is set.
[[noreturn]] void ThrowPythonError();

// The reference that a Python function returned; throws PythonError when it is null.
PyRef Take(PyObject* object);

// Throws PythonError when a Python function returned a negative number.
void Check(int result);

// What `error` is at the waist. `describe` is torchdeploy_engine.errors.describe, or null
// before that is loaded. Runs Python code; never throws a PythonError.
EngineError DescribePythonError(const PythonError& error, PyObject* describe);

}  // namespace torchdeploy
