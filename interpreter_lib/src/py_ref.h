// An owned reference to a Python object.
#pragma once

#include <Python.h>

#include <utility>

namespace torchdeploy {

// Made, copied, assigned and destroyed with the interpreter entered (a null one: anywhere).
class PyRef {
 public:
  PyRef() = default;
  // Takes over the reference that a Python function returned; null stays null.
  static PyRef Take(PyObject* object) { return PyRef(object); }
  static PyRef Share(PyObject* object) { return PyRef(Py_XNewRef(object)); }

  PyRef(PyRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  PyRef& operator=(PyRef&& other) noexcept {
    PyRef dropped(std::exchange(object_, std::exchange(other.object_, nullptr)));
    return *this;
  }
  PyRef(const PyRef& other) noexcept : object_(Py_XNewRef(other.object_)) {}
  PyRef& operator=(const PyRef& other) { return *this = PyRef(other); }
  ~PyRef() { Py_XDECREF(object_); }

  [[nodiscard]] PyObject* get() const { return object_; }
  [[nodiscard]] PyObject* release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  explicit PyRef(PyObject* object) : object_(object) {}

  PyObject* object_ = nullptr;
};

}  // namespace torchdeploy
